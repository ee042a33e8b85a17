"""What a run of the agency files writes into the lake, and the fact that it ends with."""

from __future__ import annotations

from importlib import resources
from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field

from data_pipeline.agency_files.decide import Status
from data_pipeline.runs.documents import RunPlan, RunStatus, Sha256
from data_pipeline.runs.extract import ExtractManifest
from etl_core.documents import Document, Value

DOMAIN = "agency_files"
CONTRACT = resources.files(__package__).joinpath("contract", "agency_files.toml")


class Selection(Value):
    """What a run is asked for."""

    agency_id: int
    source: str = Field(description="where the files are copied from: s3://bucket or a folder")
    since: AwareDatetime | None = Field(None, description="only files updated since then")
    limit: int | None = Field(None, description="only so many files, in the order of their ids")
    retry_of: str = Field("", description="only files that this run left open")

    @property
    def is_whole(self) -> bool:
        """Whether it is of all files of the agency."""
        return self.since is None and self.limit is None and not self.retry_of


class AgencyFilesPlan(RunPlan):
    """What a run set out to do. The files themselves are listed again when it is continued."""

    domain: ClassVar[str] = DOMAIN
    selection: Selection


class AgencyFilesManifest(ExtractManifest):
    """What a run did. Its extract is the metadata, a line per file."""

    selection: Selection
    files: dict[Status, int] = Field(description="files by status")
    open_files: tuple[str, ...] = Field(description="ids of the files whose copies are not there")
    list_sha256: Sha256 = Field(description="of what the database listed")
    batch_manifest: str = Field(description="the key of the copies as a list for S3 Batch Operations")

    @property
    def open_units(self) -> frozenset[str]:
        return frozenset(self.open_files)


class AgencyFilesFact(Document):
    """How ``get_s3_files`` ended."""

    job: str
    run_id: str
    seconds: float
    lake: str
    status: RunStatus | Literal["planned", "already done"] = Field(
        description="of the run; planned for a dry run; already done if the same list was copied before"
    )
    exit_code: int
    agency_id: int
    source: str
    processed: int = Field(description="files that the database listed")
    successful: int = Field(description="copied, or already there")
    failed: int
    files: dict[Status, int] = Field(description="files by status")
    bytes: int = Field(description="copied by this run")
    metadata: str = Field("", description="the key of the metadata, a line per file")
    batch_manifest: str = ""
    retry_after_seconds: float | None = None
