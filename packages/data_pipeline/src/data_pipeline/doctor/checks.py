"""How a doctor's checks are defined, run and reported. Domains own their checks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from etl_core.errors import DONE, PERMANENT, TEMPORARY, PermanentError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True)
class Check:
    """A question with a stable id; ``remedy`` says what a failure means and what to do about it.

    No run can do its work while a ``required`` check fails.
    """

    id: str
    question: str
    remedy: str
    required: bool = True


Verdict = Literal["passed", "failed", "skipped", "no_answer"]


class CheckFailedError(Exception):
    """The check failed; the message says what was found."""


class CheckSkippedError(Exception):
    """The check cannot be run; the message says why."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    check: Check
    verdict: Verdict
    found: str

    def as_json(self) -> dict[str, Any]:
        """The finding in a report; with the remedy if the check failed."""
        remedy = {"remedy": self.check.remedy} if self.verdict == "failed" else {}
        return {
            "id": self.check.id, "verdict": self.verdict, "required": self.check.required, "found": self.found, **remedy
        }  # fmt: skip

    def line(self) -> str:
        """The finding as a line for a person."""
        remedy = f" {self.check.remedy}" if self.verdict == "failed" else ""
        word = "FAILED" if self.verdict == "failed" else self.verdict.replace("_", " ")
        return f"{word:<9}  {self.check.id}: {self.found}{remedy}"


def outcome_of(findings: Iterable[Finding]) -> tuple[str, int]:
    """Status word and exit code: 3 if a required check failed, else 4 if a check got no answer, else 0."""
    verdicts = {(one.verdict, one.check.required) for one in findings}
    if ("failed", True) in verdicts:
        return "failed", PERMANENT.code
    if any(verdict == "no_answer" for verdict, _ in verdicts):
        return "no answer", TEMPORARY.code
    return "passed", DONE.code


def summary_of(findings: list[Finding]) -> dict[str, Any]:
    """How many checks passed, and the ids of the others by verdict."""
    ids = {verdict: [one.check.id for one in findings if one.verdict == verdict] for verdict in get_args(Verdict)}
    return ids | {"passed": len(ids["passed"])}


def require(ok: bool, *, found: str, otherwise: str) -> str:
    """``found`` if ``ok``; raises ``CheckFailedError`` with ``otherwise`` if not."""
    if not ok:
        raise CheckFailedError(otherwise)
    return found


def run_checks(checks: Iterable[Check], doctor: object, say: Callable[[str], None]) -> list[Finding]:
    """Run for each check the method of ``doctor`` with its id; nothing more is asked after a missing answer.

    A method returns what it found, or raises ``CheckFailedError``, ``CheckSkippedError`` or a ``PipelineError``.
    """
    findings: list[Finding] = []
    unwell = ""
    for check in checks:
        verdict: Verdict = "passed"
        try:
            if unwell:
                raise CheckSkippedError(unwell)
            found = str(getattr(doctor, check.id)())
        except CheckSkippedError as why:
            verdict, found = "no_answer" if unwell else "skipped", str(why)
        except (CheckFailedError, PermanentError) as why:
            verdict, found = "failed", str(why)
        except TemporaryError as error:
            found = str(error)
            verdict = "failed" if _is_an_answer(found) else "no_answer"
            unwell = "nothing more was asked after that." if verdict == "no_answer" else ""
        findings.append(Finding(check, verdict, found))
        say(findings[-1].line())
    return findings


def _is_an_answer(message: str) -> bool:
    """Whether a temporary error is what an answer says: another form than expected, or a refused statement (400).

    A missing answer, or one with another status, is about the source's health and not about how it behaves.
    """
    return " answered 400: " in message or not re.match(r"GET http|cannot ", message)
