"""Questions, each asked by a method of its name, and what became of them: the frame of every ``doctor``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from etl_core.errors import DONE, PERMANENT, TEMPORARY, PermanentError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True)
class Assumption:
    """A question with a stable id; ``otherwise`` says what a no means and what to do then.

    A run cannot do its work without those that are ``required``.
    """

    id: str
    asks: str
    otherwise: str
    required: bool = True


Verdict = Literal["held", "not_held", "not_asked", "no_answer"]


class NoError(Exception):
    """The assumption does not hold; says what was found."""


class NotAskedError(Exception):
    """The question cannot be asked; says why."""


@dataclass(frozen=True)
class Finding:
    """What became of one question."""

    assumption: Assumption
    verdict: Verdict
    found: str

    def as_json(self) -> dict[str, Any]:
        """As it stands in the report."""
        one, broken = self.assumption, self.verdict == "not_held"
        told = {"id": one.id, "verdict": self.verdict, "required": one.required, "found": self.found}
        return told | ({"otherwise": one.otherwise} if broken else {})

    def line(self) -> str:
        """As a person reads it."""
        said = {"held": "holds", "not_held": "DOES NOT HOLD", "not_asked": "not asked", "no_answer": "no answer"}
        remedy = f" {self.assumption.otherwise}" if self.verdict == "not_held" else ""
        return f"{said[self.verdict]:<13}  {self.assumption.id}: {self.found}{remedy}"


def status_of(findings: list[Finding]) -> int:
    """3 where something required does not hold, else 4 where nobody answered, else 0."""
    broken = {one.assumption.required for one in findings if one.verdict == "not_held"}
    unanswered = any(one.verdict == "no_answer" for one in findings)
    return PERMANENT.code if True in broken else TEMPORARY.code if unanswered else DONE.code


def word_for(status: int) -> str:
    """The status of an examination as its fact says it."""
    return {DONE.code: "held", PERMANENT.code: "not held", TEMPORARY.code: "no answer"}[status]


def summary_of(findings: list[Finding]) -> dict[str, Any]:
    """How many held, and the ids of the others."""
    ids = {verdict: [one.assumption.id for one in findings if one.verdict == verdict] for verdict in get_args(Verdict)}
    return ids | {"held": len(ids["held"])}


def either(holds: bool, yes: str, no: str) -> str:
    if not holds:
        raise NoError(no)
    return yes


def examine_each(assumptions: Iterable[Assumption], checks: object, say: Callable[[str], None]) -> list[Finding]:
    """Each assumption has a check of its name, which says what was found or raises what it found instead."""
    findings: list[Finding] = []
    unwell = ""
    for one in assumptions:
        verdict: Verdict = "held"
        try:
            if unwell:
                raise NotAskedError(unwell)
            found = str(getattr(checks, one.id)())
        except NotAskedError as why:
            verdict, found = "no_answer" if unwell else "not_asked", str(why)
        except (NoError, PermanentError) as why:
            verdict, found = "not_held", str(why)
        except TemporaryError as error:
            found = str(error)
            verdict = "not_held" if _is_an_answer(found) else "no_answer"
            unwell = "nothing more was asked after that." if verdict == "no_answer" else ""
        findings.append(Finding(one, verdict, found))
        say(findings[-1].line())
    return findings


def _is_an_answer(message: str) -> bool:
    """Whether a temporary error is what an answer says: of another form than agreed, or a refused statement (400).

    What did not come, or came with another status, speaks of the source's health and not of its habits.
    """
    return " answered 400: " in message or not re.match(r"GET http|cannot ", message)
