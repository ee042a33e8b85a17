"""The exit status that follows from a committed run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl_core.errors import DONE, PERMANENT, TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from data_pipeline.runs.documents import Attempt, RunManifest


def exit_code_of(manifest: RunManifest, attempts: Iterable[Attempt]) -> int:
    """0 if completed; 3 if the last attempt at every open unit failed permanently; else 4: a later run may help."""
    if manifest.status == "completed":
        return DONE.code
    last = {one.unit: one.temporary for one in attempts if one.final}
    permanent = manifest.open_units and all(last.get(unit) is False for unit in manifest.open_units)
    return PERMANENT.code if permanent and manifest.status != "torn" else TEMPORARY.code
