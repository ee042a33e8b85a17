"""Failed attempts, kept under their run: why something is not proved is in the lake and not in a log."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, TypeVar

from data_pipeline import lake_layout
from data_pipeline.runs.documents import Attempt
from etl_core.documents import read_or_skip

if TYPE_CHECKING:
    from collections.abc import Collection

    from etl_core.lake import ObjectStore

T = TypeVar("T", bound=Attempt)


def write_attempt(store: ObjectStore, attempt: Attempt) -> None:
    """Store a failed attempt."""
    store.put_new(lake_layout.runs.failure(attempt.run_id, attempt.unit, uuid.uuid4().hex), attempt.to_bytes())


def read_attempts(
    kind: type[T], store: ObjectStore, run_id: str, *, unit: str = "", leave_out: Collection[str] = ()
) -> list[T]:
    """The failed attempts of a run, or of one unit, except those of units to leave out; the oldest first."""
    keys = (entry.key for entry in store.list(lake_layout.runs.failures(run_id, unit)))
    wanted = (key for key in keys if lake_layout.runs.unit_of_failure(key) not in leave_out)
    found = filter(None, (read_or_skip(kind, store, key) for key in wanted))
    return sorted(found, key=lambda one: one.at)
