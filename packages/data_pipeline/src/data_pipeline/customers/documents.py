"""What is written into the lake about runs that fetch customers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from data_pipeline import lake_layout
from data_pipeline.runs import documents as runs
from etl_core.documents import Document, Value
from etl_core.paging.pages import Fields

DATASET: Literal["customers"] = "customers"


class Selection(Value):
    """What a run was asked for: all customers, or only the dead letters of a run."""

    dataset: Literal["customers"]
    rerun_of: str | None = None


class CustomersPlan(runs.RunPlan):
    """Which API is asked, and how. Its day and time are those of the extract's key, whenever that is written."""

    domain: ClassVar[str] = DATASET
    selection: Selection
    source: str = Field(description="address of the list, without its query")
    per_page: int = Field(description="rows per page that are asked for")
    fields: Fields
    pages_from: tuple[str, ...] = Field((), description="of a rerun: prefixes below which earlier runs left pages")

    @property
    def edition(self) -> str:
        """The API: an unfinished run of another one is not continued."""
        return "".join(one if one.isalnum() or one in ".-" else "_" for one in self.source.partition("://")[2])[:100]

    @property
    def pages(self) -> str:
        """Prefix of the run's own pages."""
        return lake_layout.customers.pages(self.run_id, self.created_at)


class CustomersAttempt(runs.Attempt):
    """One failed try at a page; the final one makes it a dead letter."""

    sweep: int
    page: int

    @property
    def unit(self) -> str:
        return lake_layout.customers.unit(self.page)


class FieldCounts(Value):
    """What was found in the rows, by field."""

    missing: dict[str, int] = Field(description="rows without the field: N/A in the extract")
    nulls: dict[str, int] = Field(description="rows in which it is null: empty in the extract")
    wrong_types: dict[str, dict[str, int]] = Field(description="by the type found; JSON text in the extract")
    unknown: dict[str, int] = Field(description="fields that no column has; only the pages keep them")


class CustomersManifest(runs.RunManifest):
    """The commit of a run. Files are pages: planned are those that were asked for, downloaded those used."""

    dataset: Literal["customers"] = DATASET
    selection: Selection
    source: str
    total: int | None = Field(description="as the API states it; null if it states none")
    without_id: int = Field(description="rows, each taken for a customer of its own")
    repeated: int = Field(description="rows left out because their id came before")
    note: str = Field(description="how the rows were proved, or by how much they were not")
    sweeps: int
    retries: int = Field(description="of all processes that worked on the run")
    fields: FieldCounts
    extract: runs.CsvPartAudit
    pages: tuple[str, ...] = Field(description="keys of the answers that the extract was made of")
    dead_pages: dict[int, str] = Field(description="pages that could not be fetched, each with a word for why")

    @property
    def open_units(self) -> frozenset[str]:
        return frozenset(map(lake_layout.customers.unit, self.dead_pages))

    @property
    def folders(self) -> tuple[str, ...]:
        return (lake_layout.customers.COMMITS,)


class CustomersFact(Document):
    """How ingest_customers ended."""

    job: str
    run_id: str
    dataset: Literal["customers"] = DATASET
    status: runs.RunStatus | Literal["already done"]
    exit_code: int
    closed: bool = Field(description="every customer is proved to be there")
    note: str
    manifest: str = Field(description="key of the run's commit")
    extract: str = Field(description="key of the CSV")
    rows: int
    total: int | None
    pages: int = Field(description="that were asked for")
    failed: int = Field(description="pages that could not be fetched")
    sweeps: int
    bytes: int = Field(description="of the CSV")
    local: str = Field("", description="where --local left a copy")
    seconds: float = Field(description="like requests and retries of this process alone; the manifest has the run's")
    requests: int
    retries: int
    retry_after_seconds: float | None = None
    lake: str
