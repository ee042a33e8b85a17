"""A job as the command runs it, but its process kills itself at a chosen write of a lake: for test_killed_anywhere.

``python killed_run.py '{"job": …, "at": N, "moment": …}'``. Moments of the N-th write:

    before      nothing of it is there
    middle      half-way: bytes lie in a scratch file and under no key; or a scratch file is published and still there
    after       the key is there, nothing else was done

Without ``at`` nobody is killed. With ``prefix`` only writes of keys below it are counted. ``rows_per_window`` makes
windows of small slices.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, cast

from data_pipeline.job import Context, job_context
from data_pipeline.open_payments import windows
from etl_core.lake import Body, ObjectStore, PutResult, content_of


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


class KillingStore:
    """The store it is given, except that one write is the process's last."""

    def __init__(self, store: ObjectStore, at: int, moment: str, prefix: str = "") -> None:
        self._store = store
        self._prefix = prefix
        self._at = at
        self._moment = moment
        self._count = 0
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        if not self._is_last(key):
            return self._store.put_new(key, body, sha256=sha256)
        if self._moment == "before":
            kill_myself()
        if self._moment == "middle":
            self._leave_half_way(key, body)
        result = self._store.put_new(key, body, sha256=sha256)
        kill_myself()
        return result

    def put(self, key: str, body: Body) -> None:
        last = self._is_last(key)
        if last and self._moment == "before":
            kill_myself()
        if last and self._moment == "middle":
            self._leave_half_way(key, body)
        self._store.put(key, body)
        if last:
            kill_myself()

    def _is_last(self, key: str) -> bool:
        with self._lock:
            self._count += key.startswith(self._prefix)
            return self._count == self._at

    def _leave_half_way(self, key: str, body: Body) -> None:
        scratch = self._store.scratch_file()
        if isinstance(body, Path):
            os.link(body, scratch)
            self._store.put_new(key, body, sha256=content_of(body))
        else:
            scratch.write_bytes(body)
        kill_myself()


def run_pipeline(context: Context) -> None:
    from data_pipeline.open_payments.ledger.documents import Selection
    from data_pipeline.open_payments.source.totals import TotalsChoice

    selection = Selection(dataset="general-payments", year=2024)
    prepared = context.pipeline.prepare(selection, context.run_id, TotalsChoice())
    manifest = prepared.manifest
    if manifest is None:
        context.begin(prepared.plan.run_id)
        manifest = context.pipeline.commit(prepared.plan, context.pipeline.work(prepared))
    context.print_fact(status=manifest.status)


def upload_raw(context: Context, target: ObjectStore) -> None:
    from data_pipeline.open_payments.ledger.committed import open_run
    from data_pipeline.open_payments.operations.upload import upload_run
    from data_pipeline.runs.copying import Copying

    uploaded = upload_run(Copying(context.store, target), open_run(context.store, context.run_id))
    target.close()
    context.print_fact(status="uploaded", copied=uploaded.copied)


def stage(context: Context) -> None:
    from data_pipeline.jobs import _tables as tables

    staging = tables.staging_of(context, tables.chosen_run(context, None, None))
    context.print_fact(parts=len(staging.run(staging.done())))


def build_curated(context: Context) -> None:
    from data_pipeline.jobs import _tables as tables

    build = tables.curation_of(context, tables.chosen_run(context, None, None)).run()
    context.print_fact(build=build.build)


def build(context: Context) -> None:
    from data_pipeline.jobs._build import Build
    from data_pipeline.open_payments.ledger.documents import Selection

    selection = Selection(dataset="general-payments", year=2024)
    context.print_document(Build(context, "source", {}).of([selection]))


def ingest_customers(context: Context) -> None:
    from data_pipeline.customers.run import ingest

    ended = ingest(context.crm, on_start=context.begin)
    context.print_fact(status=ended.manifest.status)


JOBS = {
    "run_pipeline": run_pipeline,
    "stage": stage,
    "build_curated": build_curated,
    "build": build,
    "ingest_customers": ingest_customers,
}


def main(options: dict[str, Any]) -> None:
    windows.ROWS_PER_WINDOW = options.get("rows_per_window", windows.ROWS_PER_WINDOW)
    at, moment = options.get("at", 0), options.get("moment", "")
    with job_context(options["job"], run_id=options.get("run_id"), lake_url=options.get("lake")) as context:
        if options["job"] == "upload_raw":
            target = context.open_store(options["to"], named="--to")
            upload_raw(context, cast("ObjectStore", KillingStore(target, at, moment)))
        else:
            context.store = cast("ObjectStore", KillingStore(context.store, at, moment, options.get("prefix", "")))
            JOBS[options["job"]](context)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
