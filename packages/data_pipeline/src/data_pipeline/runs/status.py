"""The exit status that follows from a committed run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl_core.errors import DONE, PERMANENT, TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from data_pipeline.runs.documents import Attempt, RunManifest


def exit_code_of(manifest: RunManifest, open_units: Collection[str], attempts: Iterable[Attempt]) -> int:
    """0 if completed; 3 if every open unit's last attempt failed permanently; else 4, as a later run may help."""
    if manifest.status == "completed":
        return DONE.code
    last = {one.unit: one.temporary for one in attempts if one.final}
    permanent = bool(open_units) and all(last.get(unit) is False for unit in open_units)
    return PERMANENT.code if permanent and manifest.status != "torn" else TEMPORARY.code
