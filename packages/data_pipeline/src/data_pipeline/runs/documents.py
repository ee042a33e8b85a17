"""What every run writes into the lake. A domain adds its own fields to each document."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from data_pipeline import lake_layout
from etl_core.documents import Document, Value

RunStatus = Literal["completed", "partial", "failed", "torn"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RunPlan(Document):
    """What a run set out to do: written once, before anything is fetched.

    ``domain`` keeps the runs of one domain apart from those of another, as part of keys; it may be empty for one.
    """

    domain: ClassVar[str] = ""
    run_id: str
    selection: Value = Field(description="what the run was asked for")
    created_at: AwareDatetime

    def is_at(self, key: str) -> bool:
        return lake_layout.runs.run_of(key) == self.run_id

    @property
    def edition(self) -> str:
        """Which publication of the source the run reads, as part of a key; a source may have only one."""
        return "only"

    @property
    def markers(self) -> tuple[str, ...]:
        """Keys of empty objects, each a fact by its name alone, written before the plan."""
        return ()


class Attempt(Document):
    """One attempt that proved nothing, and why."""

    run_id: str
    attempt: int
    reason: str = Field(description="a stable word")
    detail: str
    temporary: bool
    final: bool = Field(description="no further attempt followed in this run")
    records: int
    bytes: int
    at: AwareDatetime

    def is_at(self, key: str) -> bool:
        return f"/run_id={self.run_id}/" in key

    @property
    def unit(self) -> str:
        """The folder of what was attempted: its own and no other's."""
        raise NotImplementedError


class PartAudit(Document):
    """The proof of one part. There is none for a part that is not proved."""

    key: str = Field(description="of the part, in the lake")
    records: int
    bytes: int
    sha256: Sha256 = Field(description="of the part's bytes")
    started_at: AwareDatetime
    proved_at: AwareDatetime
    seconds: float
    requests: int
    retries: int
    software: dict[str, str]


class CsvPartAudit(PartAudit):
    """The proof of a part that is a CSV file."""

    dialect: Literal["rfc4180", "backslash"] = Field(
        description="rfc4180 if all records can be read so; backslash if a quote after a backslash is not doubled"
    )
    content_hash: Sha256 = Field(description="the same for the same records in any order and either dialect")
    header_hash: Sha256


class RunManifest(Document):
    """What a run did: its commit, written once, after all proofs. A run without one does not exist for later stages."""

    run_id: str
    selection: Value
    files_planned: int
    files_downloaded: int
    files_failed: int
    status: RunStatus
    rows: int
    bytes: int
    file_audits: int = Field(description="lines of file_audits.jsonl")
    file_audits_sha256: Sha256
    created_at: AwareDatetime
    finished_at: AwareDatetime
    software: dict[str, str]

    def is_at(self, key: str) -> bool:
        return lake_layout.runs.run_of(key) == self.run_id

    @property
    def is_closed(self) -> bool:
        """Whether everything there is was fetched and proved."""
        return self.status == "completed"

    @property
    def open_units(self) -> frozenset[str]:
        """The folders of the units that are not proved."""
        raise NotImplementedError

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders of pointers in which this run can be found once it is committed."""
        return ()
