"""What the contract found in the records of a year: quarantine, flags, new values, drift."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from data_pipeline.lake_layout.lakehouse import StagedKeys, build_manifest
from data_pipeline.lake_layout.open_payments import year_scope
from data_pipeline.lakehouse.builds import read_manifest
from data_pipeline.lakehouse.documents import StagedPart
from data_pipeline.reports.run_values import Checks
from etl_core.documents import read
from etl_core.lake import in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from data_pipeline.lakehouse.documents import MartsInput
    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.open_payments.ledger.documents import Audit
    from etl_core.lake import ObjectStore


def checks_of(store: ObjectStore, run: Run, source: MartsInput) -> Checks:
    """What the stage found in the parts of a run, under the contract of the build; nothing if ``gc`` removed that."""
    build = read_manifest(store, build_manifest(year_scope(source.dataset, source.year), source.number))
    if build is None:
        return Checks()
    found = staged_of(store, run.parts(), build.contract)
    quarantined: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    new_values: Counter[str] = Counter()
    for part in found:
        quarantined.update(part.reasons)
        flagged.update(part.flags)
        new_values.update({one.column: one.records for one in part.new_values})
    return Checks(
        len(found),
        tuple(quarantined.items()),
        tuple(flagged.items()),
        tuple(new_values.items()),
        sum(part.drift is not None for part in found),
    )


def staged_of(store: ObjectStore, parts: Iterable[Audit], contract: str) -> list[StagedPart]:
    """What became of the parts under a contract; nothing of a part that is not staged."""
    places = [StagedKeys.of_part(part.key, contract).document for part in parts]
    return [one for one in in_parallel(partial(read, StagedPart, store), places) if one is not None]
