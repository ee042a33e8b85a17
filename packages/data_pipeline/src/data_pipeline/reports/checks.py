"""What the contract found in the records of a year: quarantine, flags, new values, drift."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_pipeline.lake_layout.lakehouse import StagedKeys, build_manifest
from data_pipeline.lake_layout.open_payments import year_scope
from data_pipeline.lakehouse.builds import read_manifest
from data_pipeline.lakehouse.documents import StagedPart
from etl_core.documents import read

if TYPE_CHECKING:
    from data_pipeline.lakehouse.documents import MartsInput
    from data_pipeline.open_payments.ledger.committed import Run
    from etl_core.lake import ObjectStore

READERS = 16
# There are some two hundred rules; more rows than this would be a fault of the source, and must not make a page long.
MOST_ROWS = 40


@dataclass(frozen=True)
class Checks:
    """Each entry is a rule or a column, and its number of records. Without ``parts``, nothing is known any more."""

    parts: int = 0
    quarantined: tuple[tuple[str, int], ...] = ()
    flagged: tuple[tuple[str, int], ...] = ()
    new_values: tuple[tuple[str, int], ...] = ()
    parts_with_drift: int = 0

    @property
    def rows(self) -> list[tuple[str, str, int]]:
        """All of them with what became of the records, the most frequent first."""
        kinds = {"taken out": self.quarantined, "kept and flagged": self.flagged, "kept, a new value": self.new_values}
        found = [(name, kind, count) for kind, entries in kinds.items() for name, count in entries]
        return sorted(found, key=lambda one: (-one[2], one))[:MOST_ROWS]


def checks_of(store: ObjectStore, run: Run, source: MartsInput) -> Checks:
    """What the stage found in the parts of a run, under the contract of the build; nothing if ``gc`` removed that."""
    build = read_manifest(store, build_manifest(year_scope(source.dataset, source.year), source.number))
    if build is None:
        return Checks()
    places = [StagedKeys.of_part(part.key, build.contract).document for part in run.parts()]
    with ThreadPoolExecutor(READERS) as pool:
        found = [one for one in pool.map(lambda key: read(StagedPart, store, key), places) if one is not None]
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
