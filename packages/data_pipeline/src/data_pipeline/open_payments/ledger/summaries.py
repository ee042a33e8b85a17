"""What the lake holds of CMS's summaries: the rows of a year as one raw object, and their proof beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from data_pipeline import lake_layout
from data_pipeline.open_payments.summaries import SUMMARIES
from data_pipeline.runs.documents import PartAudit
from etl_core.documents import Value, read_or_skip

if TYPE_CHECKING:
    from data_pipeline.open_payments.summaries import Summary
    from etl_core.lake import ObjectStore


class SummaryAudit(PartAudit):
    """The proof of the rows that a summary has of a year: as many as the source counted before and after them."""

    summary: str
    year: int
    dataset_id: str
    distribution_id: str = Field(description="changes at every publication")
    modified: str = Field(description="as the catalogue says; empty if it does not")
    url: str = Field(description="the request that answered these bytes")
    condition: str
    count_before: int
    count_after: int

    def is_at(self, key: str) -> bool:
        own = lake_layout.open_payments.summary_rows(self.summary, self.year, self.distribution_id, self.sha256)
        return self.key == own and self.place == key

    @property
    def place(self) -> str:
        """Its own key."""
        return str(lake_layout.open_payments.audit_of_part(self.key))

    @property
    def release(self) -> str:
        """The publication, as people read it."""
        return "-".join(filter(None, (self.modified, self.distribution_id[:8])))


class KeptSummary(Value):
    """What became of a summary in a run, which continues whatever it is."""

    summary: str
    status: Literal["stored", "already stored", "not stored"]
    rows: int = 0
    problem: str = Field("", description="why it is not stored")


def summaries_with(store: ObjectStore, year: int) -> set[str]:
    """The names of the summaries of which anything of a year is proved, by one listing."""
    keys = [entry.key for entry in store.list(lake_layout.open_payments.SUMMARY_AUDITS)]
    prefixes = {one.name: lake_layout.open_payments.summary_audits(one.name, year) for one in SUMMARIES}
    return {name for name, prefix in prefixes.items() if any(key.startswith(prefix) for key in keys)}


def stored_summaries(store: ObjectStore, summary: Summary, year: int) -> list[SummaryAudit]:
    """The proofs of a summary's rows of a year, the newest last; one that cannot be read is named in the log."""
    entries = store.list(lake_layout.open_payments.summary_audits(summary.name, year))
    found = (read_or_skip(SummaryAudit, store, entry.key) for entry in entries)
    return sorted((one for one in found if one is not None), key=lambda one: (one.proved_at, one.key))
