"""Contracts: the columns of a table, the rules of their values, and what follows a violation. Pure.

A contract is data, a TOML file per table. Its rules, by the name that a violation carries:

    required   a field may not be empty
    pattern    the whole text matches a regular expression (of RE2, which DuckDB uses)
    type       the text can be cast: 02/30/2024 matches a pattern and is no date
    length     at most so many characters
    range      not below ``low`` and not above ``high``
    values     one of the known values

and the actions: ``quarantine`` takes the record out, ``flag`` keeps it and names the violation in ``_flags``,
``drift`` is only reported. An empty field violates nothing but ``required``.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from data_pipeline.lake_layout.lakehouse import contract
from etl_core.documents import Document, Value
from etl_core.errors import DataError
from etl_core.printable import dotted

Kind = Literal["text", "id", "code", "date", "decimal", "integer", "boolean"]
Rule = Literal["required", "pattern", "type", "length", "range", "values"]
Action = Literal["quarantine", "flag", "drift"]
DEFAULTS: Mapping[Rule, Action] = {
    "required": "quarantine",
    "pattern": "quarantine",
    "type": "quarantine",
    "length": "flag",
    "range": "flag",
    "values": "drift",
}
NAME = "[A-Za-z][A-Za-z0-9_]*"
TYPED: frozenset[Kind] = frozenset({"date", "decimal", "integer", "boolean"})
# How rules are applied: raise it when the same rules would give other rows, so that everything is staged again.
APPLICATION = 1


class Column(Value):
    """One column, in the order of the file; ``name`` is its title there."""

    name: Annotated[str, Field(pattern=f"^{NAME}$")]
    kind: Kind
    required: bool = False
    pattern: str = ""
    format: str = Field("%Y-%m-%d", description="of dates")
    length: int | None = None
    low: str = ""
    high: str = ""
    values: tuple[str, ...] = ()
    actions: dict[Rule, Action] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its name in tables."""
        return self.name.lower()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules it has."""
        has: dict[Rule, bool] = {
            "required": self.required,
            "pattern": bool(self.pattern),
            "type": self.kind in TYPED,
            "length": self.length is not None,
            "range": bool(self.low or self.high),
            "values": bool(self.values) and self.kind != "boolean",
        }
        return tuple(rule for rule, is_there in has.items() if is_there)

    def action(self, rule: Rule) -> Action:
        """What follows a violation."""
        return self.actions.get(rule, DEFAULTS[rule])

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        re.compile(self.pattern)
        if self.kind in TYPED and (not self.pattern or {self.action("pattern"), self.action("type")} != {"quarantine"}):
            raise ValueError(f"{self.name}: a value that cannot be cast is not lost, so its rules quarantine")
        if self.kind not in {"date", "decimal", "integer"} and "range" in self.rules:
            raise ValueError(f"{self.name}: only dates and numbers have a range")
        if self.kind == "boolean" and len(self.values) != 2:
            raise ValueError(f"{self.name}: a boolean has two known values, the true one first")
        if any(self.action(rule) == "drift" for rule in self.rules if rule != "values"):
            raise ValueError(f"{self.name}: only new values are drift of a column")
        return self


class Era(Value):
    """A former header of the same table, which is recognised and refused."""

    name: str
    columns: int
    sha256: str = Field(description="of its titles, joined by line feeds")


class Contract(Document):
    """The columns of a table. What the lake stores of it is what decides about rows."""

    application: int = APPLICATION
    name: str
    key: str = Field(description="the column whose values are unique")
    order: tuple[str, ...] = Field(description="the columns that tables are sorted by; the key is the last")
    columns: tuple[Column, ...]
    missing: str = Field("", description="a text that says, as the empty one does, that a field has no value")
    eras: tuple[Era, ...] = Field((), exclude=True)

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        titles = [one.title for one in self.columns]
        if repeated := {one for one in titles if titles.count(one) > 1}:
            raise ValueError(f"columns occur twice: {', '.join(sorted(repeated))}")
        if unknown := set(self.order) - {one.name for one in self.columns}:
            raise ValueError(f"the order names columns that are not there: {', '.join(sorted(unknown))}")
        if not self.order or self.order[-1] != self.key:
            raise ValueError("the order ends in the key, so that it is total")
        return self

    @classmethod
    def from_toml(cls, text: str) -> Contract:
        """A contract from its file: ``types`` are rules with a name, ``columns`` refer to one each and may add to it.

        Raises:
            DataError: it is no contract.

        """
        try:
            given = tomllib.loads(text)
            types = given.pop("types", {})
            columns = [
                {"name": name, **types[said["type"]], **{key: value for key, value in said.items() if key != "type"}}
                for name, said in given.pop("columns").items()
            ]
            return cls.model_validate_json(json.dumps({**given, "columns": columns}))
        except (tomllib.TOMLDecodeError, KeyError, ValidationError) as error:
            raise DataError(f"this is no contract: {error}") from error

    @property
    def header(self) -> tuple[str, ...]:
        """The titles of its columns."""
        return tuple(one.name for one in self.columns)

    @property
    def hash(self) -> str:
        """Its name in keys: eight hex digits. Everything that decides about rows changes it."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:8]

    def is_at(self, key: str) -> bool:
        """Whether ``key`` has its hash."""
        return key == contract(self.hash)

    def to_bytes(self) -> bytes:
        """One JSON line without what is as by default: a new kind of rule leaves the hash of old contracts alone."""
        said: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True) | {"application": self.application}
        return json.dumps(said, ensure_ascii=False).encode() + b"\n"

    @property
    def amounts(self) -> tuple[Column, ...]:
        """The columns whose sums are kept from layer to layer."""
        return tuple(one for one in self.columns if one.kind == "decimal")

    @property
    def listed(self) -> tuple[Column, ...]:
        """The columns of whose values new ones are drift."""
        return tuple(one for one in self.columns if "values" in one.rules and one.action("values") == "drift")

    def drift(self, found: Sequence[str]) -> HeaderDrift:
        """How a header differs from the columns."""
        if tuple(found) == self.header:  # nearly always, and a comparison takes a millisecond
            return HeaderDrift(expected=self.header, found=self.header)
        return header_drift(self.header, found)

    def era_of(self, found: Sequence[str]) -> Era | None:
        """The era that a header is of, if it is a former one."""
        digest = header_digest(found)
        return next((one for one in self.eras if one.sha256 == digest), None)


class HeaderDrift(Value):
    """How a header differs from the expected one; all empty means not at all."""

    expected: tuple[str, ...]
    found: tuple[str, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = Field((), description="former and new title in the same place")
    reordered: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.renamed or self.reordered)

    @property
    def breaking(self) -> bool:
        """Whether columns cannot be read by name: one is missing, or a title is no name or occurs twice."""
        names = {one.lower() for one in self.found if re.fullmatch(NAME, one)}
        return bool(self.removed or self.renamed or len(names) < len(self.found))

    def __str__(self) -> str:
        parts = {
            "added": ", ".join(map(_shown, self.added)),
            "removed": ", ".join(self.removed),
            "renamed": ", ".join(f"{old} to {_shown(new)}" for old, new in self.renamed),
            "reordered": "the others" if self.reordered else "",
        }
        word = "breaking" if self.breaking else "not breaking"
        return f"{word}: " + "; ".join(f"{name} {what}" for name, what in parts.items() if what)


def header_digest(header: Sequence[str]) -> str:
    """SHA-256 of the titles, joined by line feeds."""
    return hashlib.sha256("\n".join(header).encode()).hexdigest()


def header_drift(expected: Sequence[str], found: Sequence[str]) -> HeaderDrift:
    """Compare two headers. A column that lost its title and one without a former title are a rename if both stand
    in one place.
    """
    renamed = []
    for tag, i, j, k, n in difflib.SequenceMatcher(None, expected, found, autojunk=False).get_opcodes():
        if tag == "replace" and j - i == n - k:
            pairs = zip(expected[i:j], found[k:n], strict=True)
            renamed += [(old, new) for old, new in pairs if old not in found and new not in expected]
    gone, new = {old for old, _ in renamed}, {new for _, new in renamed}
    common = [one for one in expected if one in found]
    return HeaderDrift(
        expected=tuple(expected),
        found=tuple(found),
        added=tuple(one for one in found if one not in expected and one not in new),
        removed=tuple(one for one in expected if one not in found and one not in gone),
        renamed=tuple(renamed),
        reordered=[one for one in found if one in expected] != common,
    )


def _shown(title: str) -> str:
    """A title from outside, as printable text."""
    return dotted(title[:80])
