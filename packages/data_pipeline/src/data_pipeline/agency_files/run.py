"""A run of the agency files: list them, copy what is not there, and commit what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_pipeline.agency_files import decide
from data_pipeline.agency_files.copy import Copies
from data_pipeline.agency_files.documents import AgencyFilesFact, AgencyFilesManifest, AgencyFilesPlan, Selection
from data_pipeline.agency_files.listing import listed_files
from data_pipeline.lake_layout import agency_files as keys
from data_pipeline.runs import commit, plans
from data_pipeline.runs.committed import newest_run
from data_pipeline.runs.documents import CsvPartAudit
from data_pipeline.runs.extract import audits_of, commit_extract, publish_extract
from data_pipeline.runs.status import exit_code_of_failures
from etl_core.errors import NotFoundError
from etl_core.lake.urls import batch_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from data_pipeline.agency_files.decide import ListedFile, Outcome
    from etl_core.database import Database
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress


@dataclass(frozen=True)
class Ended:
    """What became of the files. A dry run has no ``manifest``; ``worked`` is false if all was done before."""

    outcomes: Sequence[Outcome]
    manifest: AgencyFilesManifest | None = None
    worked: bool = True


@dataclass(frozen=True)
class AgencyRun:
    """What runs are made with."""

    lake: ObjectStore
    source: ObjectStore
    database: Database
    now: Callable[[], datetime]
    progress: Progress
    check_stop: Callable[[], None]

    def plan(self, selection: Selection) -> Ended:
        """What a run would do; nothing is written. Raises as ``run`` does."""
        copies = self._copies(selection, dry_run=True)
        return Ended(copies.make(copies.at_sight(self._files(selection))))

    def run(self, selection: Selection, run_id: str, on_start: Callable[[str], None]) -> Ended:
        """Copy what is not there, and commit, unless the same list was copied before. An unfinished run is continued.

        Raises:
            ConfigError: there is no such database, table or bucket. AccessError: it may not be read.
            UnavailableError: the database or the lake does not answer. StoppedError: asked to stop.

        """
        files, copies, now = self._files(selection), self._copies(selection), self.now()
        seen = copies.at_sight(files)
        before = newest_run(self.lake, selection, AgencyFilesManifest, CsvPartAudit)
        is_same = before is not None and before.manifest.list_sha256 == decide.list_digest(files)
        if before is not None and is_same and all(one.status == "already there" for one in seen):
            return Ended(seen, before.manifest, worked=False)
        name = run_id or plans.default_run_id(now)
        wanted = AgencyFilesPlan(run_id=name, selection=selection, created_at=now)
        plan = plans.continued_or_new(self.lake, wanted, is_named=bool(run_id))
        on_start(plan.run_id)
        outcomes = copies.make(seen)
        return Ended(outcomes, self._commit(plan, outcomes))

    def retry_of(self, selection: Selection) -> Selection:
        """The selection of what the newest run of this one left open.

        Raises:
            NotFoundError: there is no committed run of it.

        """
        before = newest_run(self.lake, selection, AgencyFilesManifest, CsvPartAudit, closed=False)
        if before is None:
            raise NotFoundError(
                f"{self.lake.url} has no committed run of agency {selection.agency_id} with this selection.",
                advice="Run it without --retry-failed first.",
            )
        return selection.model_copy(update={"retry_of": before.manifest.run_id})

    def _files(self, selection: Selection) -> list[ListedFile]:
        files = listed_files(self.database, selection)
        if not selection.retry_of:
            return files
        before = commit.read_manifest(AgencyFilesManifest, self.lake, selection.retry_of)
        open_files = frozenset() if before is None else before.open_units
        return [one for one in files if one.file_id in open_files]

    def _copies(self, selection: Selection, *, dry_run: bool = False) -> Copies:
        folder = keys.files(selection.agency_id)
        return Copies(self.source, self.lake, folder, self.progress, self.check_stop, dry_run)

    def _commit(self, plan: AgencyFilesPlan, outcomes: Sequence[Outcome]) -> AgencyFilesManifest:
        selection, said = plan.selection, {"agency_id": str(plan.selection.agency_id), "source": self.source.url}
        metadata = publish_extract(
            self.lake,
            lambda sha256: keys.metadata(selection.agency_id, plan.created_at, sha256),
            decide.COLUMNS,
            (decide.record_of(one, said) for one in outcomes),
            id_column="file_id",
            now=self.now,
        )
        batch = keys.batch_manifest(metadata.key)
        there = (one.key for one in outcomes if one.is_successful)
        self.lake.put_new(batch, "".join(batch_lines(self.lake.url, there)).encode())
        failed = tuple(one.file.file_id for one in outcomes if not one.is_successful)
        return commit_extract(
            self.lake, AgencyFilesManifest, plan, metadata, audits_of, failed=len(failed), finished_at=self.now(),
            files=decide.counts_of(outcomes), open_files=failed, bytes=bytes_of(outcomes), batch_manifest=batch,
            list_sha256=decide.list_digest(one.file for one in outcomes),
        )  # fmt: skip


def fact_of(ended: Ended, selection: Selection, **said: Any) -> AgencyFilesFact:  # noqa: ANN401 - JSON
    """How a run ended; ``said`` is what the facts of all jobs have."""
    manifest, outcomes = ended.manifest, ended.outcomes
    successful = sum(one.is_successful for one in outcomes)
    if manifest is not None:
        said |= {"metadata": manifest.extract.key, "batch_manifest": manifest.batch_manifest}
    return AgencyFilesFact(
        status="planned" if manifest is None else manifest.status if ended.worked else "already done",
        exit_code=exit_code_of_failures([one.temporary for one in outcomes if not one.is_successful]),
        agency_id=selection.agency_id,
        source=selection.source,
        processed=len(outcomes),
        successful=successful,
        failed=len(outcomes) - successful,
        files=decide.counts_of(outcomes),
        bytes=bytes_of(outcomes),
        **said,
    )


def bytes_of(outcomes: Iterable[Outcome]) -> int:
    """Bytes that were copied, or would be."""
    moved = (one.source for one in outcomes if one.status in ("copied", "to copy"))
    return sum(one.size for one in moved if one is not None)
