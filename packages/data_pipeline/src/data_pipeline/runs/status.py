"""The exit status that follows from a committed run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl_core.errors import DONE, PERMANENT, TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from data_pipeline.runs.documents import Attempt, RunManifest


def exit_code_of(manifest: RunManifest, attempts: Iterable[Attempt]) -> int:
    """0 if completed; 3 if the last attempt at every open unit failed permanently; else 4: a later run may help."""
    if manifest.status == "completed":
        return DONE.code
    last = {one.unit: one.temporary for one in attempts if one.final}
    failed = [last.get(unit) is not False for unit in manifest.open_units]
    return exit_code_of_failures(failed) if failed and manifest.status != "torn" else TEMPORARY.code


def exit_code_of_failures(temporary: Collection[bool]) -> int:
    """0 if nothing failed; 3 if all that failed did so permanently; else 4. One value for each failure."""
    if not temporary:
        return DONE.code
    return TEMPORARY.code if any(temporary) else PERMANENT.code
