"""What AWS would decide: the part of IAM that our policies use, and an error for any other part.

Pure: documents and a request in, a decision out. A statement with a key, an operator or an element
that is not known here raises ``UnknownError``: a policy is never half understood.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Statement = Mapping[str, Any]
Document = Mapping[str, Any]
ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


class UnknownError(Exception):
    """A policy says something that this evaluator does not know."""


@dataclass(frozen=True)
class Request:
    """One call: who is asked for in ``context``, under condition keys; a key that is not there is absent."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def is_allowed(request: Request, identity: Iterable[Document], resource: Iterable[Document] = ()) -> bool:
    """Within one account: denied where any statement denies, else allowed where one allows, else denied.

    ``identity`` are the caller's own policies, ``resource`` those of what is called.
    """
    statements = [*statements_of(identity), *statements_of(resource)]
    for one in statements:
        _must_be_known(one)
    met = {one["Effect"] for one in statements if applies(one, request)}
    return "Deny" not in met and "Allow" in met


def statements_of(documents: Iterable[Document]) -> Iterator[Statement]:
    for document in documents:
        if document.get("Version") != "2012-10-17":
            raise UnknownError(f"a document of version {document.get('Version')}")
        statements = document["Statement"]
        yield from [statements] if isinstance(statements, Mapping) else statements


def applies(statement: Statement, request: Request) -> bool:
    """Whether the statement speaks of this request."""
    return (
        any(matches(pattern.lower(), request.action.lower()) for pattern in listed(statement["Action"]))
        and any(matches(pattern, request.resource) for pattern in listed(statement["Resource"]))
        and all(
            holds(operator, key, listed(values), request.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def holds(operator: str, key: str, values: Sequence[str], context: Mapping[str, str]) -> bool:
    """One line of a condition; its values are alternatives."""
    said = {name.lower(): value for name, value in context.items()}.get(key.lower())
    if operator == "Null":
        return any((said is None) == (value == "true") for value in values)
    plain = operator.removesuffix("IfExists")
    if said is None:
        # An absent key meets the negated operators and those that say so, and no other.
        return plain != operator or "Not" in plain
    match plain:
        case "StringEquals":
            return said in values
        case "StringNotEquals":
            return said not in values
        case "StringLike" | "ArnEquals" | "ArnLike":  # both ARN operators take wildcards
            return any(matches(value, said) for value in values)
        case "StringNotLike" | "ArnNotEquals" | "ArnNotLike":
            return not any(matches(value, said) for value in values)
        case "Bool":
            return said.lower() in [value.lower() for value in values]
        case _:
            raise UnknownError(f"the operator {operator}")


def matches(pattern: str, text: str) -> bool:
    """``*`` is any text, ``/`` included, ``?`` any one letter; all else is itself."""
    parts = (".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def listed(value: Any) -> list[str]:
    """IAM takes one text where a list of texts may stand."""
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


OPERATORS = {
    "Null",
    *(
        name + suffix
        for name in (
            "StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "ArnEquals", "ArnNotEquals", "ArnLike",
            "ArnNotLike", "Bool",
        )
        for suffix in ("", "IfExists")
    ),
}  # fmt: skip


def _must_be_known(statement: Statement) -> None:
    unknown = set(statement) - ELEMENTS
    if unknown or not {"Effect", "Action", "Resource"} <= set(statement):
        raise UnknownError(f"a statement with {sorted(statement)}")
    if statement["Effect"] not in ("Allow", "Deny"):
        raise UnknownError(f"the effect {statement['Effect']}")
    if statement.get("Principal", "*") != "*":
        raise UnknownError(f"the principal {statement['Principal']}")
    if "${" in str(statement):
        raise UnknownError("a policy variable")
    for operator in statement.get("Condition", {}):
        if operator not in OPERATORS:
            raise UnknownError(f"the operator {operator}")
