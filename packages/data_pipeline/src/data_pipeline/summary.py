"""What people see of a job that ended, in place of its fact: a few lines, and the command that usually follows."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM = "data-pipeline"
# In the first line, or nothing that people act on.
_ELSEWHERE = frozenset({"schema_version", "job", "status", "seconds", "exit_code", "error", "message"})
_MOST_ENTRIES, _MOST_CHARACTERS = 6, 200


def summary_of(fact: Mapping[str, Any], *, whole: bool, following: Sequence[str] = ()) -> list[str]:
    """The lines about a fact; not ``whole`` if the job has told the rest itself. ``following`` are commands."""
    lines = [f"{fact['job']}: {fact.get('status') or 'done'} in {fact['seconds']:,.1f} s"]
    shown = {name: _text(value, name) for name, value in fact.items() if name not in _ELSEWHERE}
    if not whole:
        shown = {name: shown[name] for name in ("run_id", "lake") if name in shown}
    shown = {name: text for name, text in shown.items() if text}
    width = max(map(len, shown), default=0)
    lines += [f"  {name.replace('_', ' '):<{width}}  {text}" for name, text in shown.items()]
    return [*lines, *(f"Next: {one}" for one in following)]


def _text(value: Any, name: str) -> str:  # noqa: ANN401 - JSON
    """A value in a line; empty for what says nothing."""
    match value:
        case None | "" | [] | ():
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value) if name == "year" else f"{value:,}"
        case float():
            return f"{value:,.1f}"
        case Mapping():
            return _listed(f"{key} {text}" for key, one in value.items() if (text := _text(one, key)))
        case list() | tuple():
            return _listed(_text(one, name) for one in value)
    text = " ".join(str(value).split())
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def _listed(texts: Iterator[str]) -> str:
    entries = list(texts)
    more = len(entries) - _MOST_ENTRIES
    return ", ".join(entries[:_MOST_ENTRIES]) + (f" and {more:,} more" if more > 0 else "")


def command_of(job: str, *arguments: str, lake: str | None = None, started_as: str | None = None) -> str:
    """A command line that can be pasted into a shell; ``lake`` as it was given on this one."""
    given = [*arguments, *(["--lake", lake] if lake else ())]
    return shlex.join([*_program(started_as or sys.argv[0]), "run", job, *(["--", *given] if given else ())])


def _program(started_as: str) -> list[str]:
    """How to start the program again, as it was started."""
    import shutil  # which takes as long to import as all else here

    if Path(started_as).name == "__main__.py":
        return [sys.executable, "-m", "data_pipeline"]
    return [PROGRAM if shutil.which(PROGRAM) == started_as else started_as]
