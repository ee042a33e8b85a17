"""From nothing, or from what a killed process left, to a committed run.

Nothing here prints or installs a signal handler. A difference to the total, and pages that could not be fetched, are
part of the manifest; every other failure is raised, and leaves a run that the same call continues.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from data_pipeline import __version__, lake_layout
from data_pipeline.customers import sweeps
from data_pipeline.customers.documents import (
    DATASET,
    CustomersAttempt,
    CustomersManifest,
    CustomersPlan,
    DeadPage,
    Selection,
    UsedPage,
)
from data_pipeline.customers.extract import Extract
from data_pipeline.customers.fetch import Pages, reason_of
from data_pipeline.customers.report import report_of
from data_pipeline.runs import commit, committed, plans
from data_pipeline.runs.attempts import read_attempts
from data_pipeline.runs.documents import CsvPartAudit
from etl_core.errors import UsageError
from etl_core.lake import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from data_pipeline.customers.api import Api
    from data_pipeline.customers.pages import Fields
    from data_pipeline.customers.sweeps import Choice
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress
    from etl_core.retry import Retry


@dataclass(frozen=True)
class Ended:
    """A committed run; ``worked`` is false if it was committed before."""

    manifest: CustomersManifest
    worked: bool


def ignore(_text: str) -> None:
    """The default of callbacks."""


@dataclass(frozen=True)
class Ingestion:
    """The API, the lake, and how hard the one is asked for the other."""

    api: Api
    store: ObjectStore
    retry: Retry
    now: Callable[[], datetime]
    progress: Progress
    fields: Fields
    per_page: int
    most_sweeps: int
    give_up_after: int

    def run(self, run_id: str = "", *, new: bool = False, on_start: Callable[[str], None] = ignore) -> Ended:
        """Continue the newest unfinished run, else begin one, unless today's is completed.

        Of one that ended today without some of its pages these are fetched. Of runs named ``run_id`` the same holds,
        whatever their day. ``new`` begins one in any case.

        Raises:
            AccessError: the token is refused. BlockedError: a pause longer than a run waits for. UnavailableError,
            DataError: page after page fails. StoppedError: asked to stop.

        """
        wanted = self._plan(run_id, Selection(dataset=DATASET))
        unfinished, ended = (None, None) if new else self._there(wanted, named=bool(run_id))
        if unfinished is not None:
            return self._work(unfinished, on_start)
        if ended is not None and ended.is_closed:
            commit.repair(self.store, ended, files_of)
            return Ended(ended, worked=False)
        if ended is not None and ended.dead_pages:
            return self.rerun(ended.run_id, on_start)
        return self._work(plans.write_plan(self.store, wanted), on_start)

    def rerun(self, run_id: str, on_start: Callable[[str], None] = ignore) -> Ended:
        """Fetch the dead letters of a run, and nothing else, as a run of its own; raises as ``run``, and

        NotFoundError: there is no such run. UsageError: it is unfinished, or of another API.
        """
        before = plans.require_plan(CustomersPlan, self.store, run_id)
        selection = Selection(dataset=DATASET, rerun_of=run_id)
        newest = plans.newest_plan(CustomersPlan, self.store, selection, before.edition) or before
        ended = commit.read_manifest(CustomersManifest, self.store, newest.run_id)
        if before.source != self.api.url:
            raise UsageError(f"run {run_id} is of {before.source}, API_BASE_URL names {self.api.url}.")
        if ended is None and newest is before:
            raise UsageError(f"run {run_id} is unfinished.", advice="ingest_customers continues it.")
        if ended is None:
            return self._work(newest, on_start)
        if not ended.dead_pages:
            commit.repair(self.store, ended, files_of)
            return Ended(ended, worked=False)
        wanted = self._plan("", selection, pages_from=(*newest.pages_from, newest.pages))
        return self._work(plans.write_plan(self.store, wanted), on_start)

    def _plan(self, run_id: str, selection: Selection, **more: tuple[str, ...]) -> CustomersPlan:
        now = self.now()
        asked = {"source": self.api.url, "per_page": self.per_page, "fields": self.fields}
        name = run_id or plans.default_run_id(now)
        return CustomersPlan.model_validate(
            {"run_id": name, "selection": selection, "created_at": now, **asked, **more}
        )

    def _there(self, wanted: CustomersPlan, *, named: bool) -> tuple[CustomersPlan | None, CustomersManifest | None]:
        """The unfinished run of that name, or of this API; and the ended one that decides whether one is begun."""
        if named:
            newest = next(reversed(plans.plans_named(CustomersPlan, self.store, wanted.run_id)), None)
            ended = None if newest is None else commit.read_manifest(CustomersManifest, self.store, newest.run_id)
        else:
            newest = plans.newest_plan(CustomersPlan, self.store, wanted.selection, wanted.edition)
            ended = committed.newest_in(self.store, lake_layout.customers.COMMITS, CustomersManifest)
            is_of_today = ended and (ended.day, ended.source) == (wanted.created_at.date(), wanted.source)
            ended = ended if is_of_today else None
        is_over = newest is None or plans.is_committed(self.store, newest.run_id)
        return None if is_over else newest, ended

    def _work(self, plan: CustomersPlan, on_start: Callable[[str], None]) -> Ended:
        on_start(plan.run_id)
        pages = Pages(
            self.api, self.store, plan, retry=self.retry, now=self.now, progress=self.progress,
            give_up_after=self.give_up_after,
        )  # fmt: skip
        first = max(pages.sweeps, default=1)
        last = first if plan.selection.rerun_of else max(first, self.most_sweeps)
        with scratch_folder(self.store) as folder:
            path = folder / "extract.csv"
            proof: tuple[Choice, Extract] | None = None
            for sweep in range(first, last + 1):
                try:
                    pages.sweep(sweep)
                finally:
                    self.progress.stop()
                proof = self._proof(pages, path)
                if proof or pages.dead:
                    break
            choice, extract = proof or self._made(pages, sweeps.fullest(pages.all), path)
            return Ended(self._commit(plan, pages, choice, extract, is_proved=proof is not None), worked=True)

    def _proof(self, pages: Pages, path: Path) -> tuple[Choice, Extract] | None:
        made = (self._made(pages, choice, path) for choice in sweeps.proved(pages.all))
        return next((one for one in made if not one[1].repeated), None)

    def _made(self, pages: Pages, choice: Choice, path: Path) -> tuple[Choice, Extract]:
        return choice, Extract.of(map(pages.records, choice.pages), path, self.fields.id)

    def _commit(
        self, plan: CustomersPlan, pages: Pages, choice: Choice, extract: Extract, *, is_proved: bool
    ) -> CustomersManifest:
        attempts = read_attempts(CustomersAttempt, self.store, plan.run_id)
        retries = sum(not one.final for one in attempts)
        dead = tuple(DeadPage(page=page, reason=reason_of(error)) for page, error in sorted(pages.dead.items()))
        finished = self.now()
        software = {"data_pipeline": __version__}
        audit = CsvPartAudit(
            key=self._publish(plan, extract), records=extract.rows, bytes=extract.size, started_at=plan.created_at,
            proved_at=finished, seconds=round((finished - plan.created_at).total_seconds(), 3),
            requests=len(pages.all) + len(attempts), retries=retries, software=software, dialect="rfc4180",
            **extract.hashes,
        )  # fmt: skip
        manifest = CustomersManifest(
            run_id=plan.run_id, selection=plan.selection, source=plan.source,
            files_planned=len(choice.pages) + len(dead), files_downloaded=len(choice.pages), files_failed=len(dead),
            status="completed" if is_proved else "partial", rows=extract.rows, bytes=extract.size, file_audits=1,
            file_audits_sha256=commit.digest_of(audit.to_bytes()), created_at=plan.created_at, finished_at=finished,
            software=software, total=sweeps.total_of(pages.all), without_id=extract.without_id,
            repeated=extract.repeated, sweeps=max(pages.sweeps, default=0), retries=retries, fields=extract.found,
            note=sweeps.note(choice, pages.all, extract.rows, len(dead), is_proved=is_proved),
            extract=audit, pages=tuple(UsedPage(key=one.key, rows=one.rows) for one in choice.pages), dead_pages=dead,
        )  # fmt: skip
        return commit.commit(self.store, manifest, files_of)

    def _publish(self, plan: CustomersPlan, extract: Extract) -> str:
        """The key of the extract in the lake. A process that died may have left other content under the first one."""
        sha256 = extract.hashes["sha256"]
        for number in count(1):
            key = lake_layout.customers.extract(plan.created_at, number)
            copy = self.store.scratch_file()
            os.link(extract.path, copy)
            if self.store.put_new(key, copy, sha256=sha256).sha256 == sha256:
                return key
        raise AssertionError("numbers end")


def files_of(manifest: CustomersManifest) -> dict[str, bytes]:
    """The files beside a manifest: they follow from it."""
    return {
        lake_layout.runs.file_audits(manifest.run_id): manifest.extract.to_bytes(),
        lake_layout.customers.report(manifest.run_id): report_of(manifest).encode(),
    }
