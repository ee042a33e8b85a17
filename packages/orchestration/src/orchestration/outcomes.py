"""What follows from how a job ended: success, an end for good, or another try, and when. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from etl_core.errors import EXIT_STATUSES
from etl_core.json_text import parse_json

Verdict = Literal["success", "fail", "retry", "default"]
# Longer than this nobody waits for a source; the next try asks it again.
LONGEST_WAIT_SECONDS = 6 * 3600.0
MOST_FAILURES_NAMED = 5


@dataclass(frozen=True)
class Outcome:
    """How a job ended. ``fact`` is what it printed, or what the lake says of it; ``why`` what else is known."""

    status: int
    fact: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        """By the table of exit statuses; a signal, a bug and what is unknown are infrastructure: Airflow's default."""
        if self.status == 0:
            return "success"
        known = next((one for one in EXIT_STATUSES if one.code == self.status), None)
        if known is not None and not known.retryable:
            return "fail"
        return "retry" if self.status == 4 else "default"

    @property
    def retry_after_seconds(self) -> float | None:
        """What the source asked to wait; None if it said nothing usable."""
        found = self.fact.get("retry_after_seconds")
        if isinstance(found, bool) or not isinstance(found, int | float) or not found > 0:
            return None
        return min(float(found), LONGEST_WAIT_SECONDS)

    def diagnosis(self, command: str) -> str:
        """Why it failed and what to try, for people: the run's own words first."""
        known = next((one for one in EXIT_STATUSES if one.code == self.status), None)
        fact = self.fact
        run_id = fact.get("run_id")
        lake = f" --lake {shlex.quote(str(fact['lake']))}" if fact.get("lake") else ""
        lines = [
            f"{command} ended with status {self.status}{f' ({known.meaning})' if known else ''}.",
            *(str(fact[name]) for name in ("message", "note") if fact.get(name)),
            *(_line_of(one) for one in self._failures()),
            *filter(None, [self.why]),
            *(f"{name}: {fact[name]}" for name in ("run_id", "release", "manifest", "lake") if fact.get(name)),
            *([f"To see more: data-pipeline run status -- --run-id {run_id}{lake}"] if run_id else []),
        ]
        return "\n".join(lines)

    def _failures(self) -> list[dict[str, Any]]:
        """What the fact lists: companies that failed, or checks that did."""
        listed = [one for name in ("failures", "checks") for one in self.fact.get(name) or () if isinstance(one, dict)]
        return [one for one in listed if one.get("status", "failed") == "failed"][:MOST_FAILURES_NAMED]


def _line_of(failure: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} {value}" for name, value in failure.items() if value not in (None, "", "failed"))


def fact_in(lines: Iterable[str]) -> dict[str, Any]:
    """The last line that is a JSON object: the fact of a job; empty without one."""
    found: dict[str, Any] = {}
    for line in lines:
        try:
            parsed = parse_json(line)
        except ValueError:
            continue
        if isinstance(parsed, dict):
            found = parsed
    return found


def references(fact: Mapping[str, Any]) -> dict[str, Any]:
    """What Airflow keeps of a fact: its references and counts, no lists and no texts of any length."""
    return {
        name: value
        for name, value in fact.items()
        if value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 300)
    }
