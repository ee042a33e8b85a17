"""A second domain, as small as can be: pages of a list, fetched in sweeps. A domain must add no more than this."""

import gzip
import hashlib
import json
import unittest
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.runs import attempts, commit, committed, plans
from data_pipeline.runs.documents import Attempt, PartAudit, RunManifest, RunPlan
from etl_core.documents import Value
from etl_core.lake import Body, ObjectInfo, ObjectStore, PutResult
from etl_core.testing import MemoryStore

START = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Sweep(Value):
    """What a run of pages is asked for."""

    listing: str
    at_most: int | None = None


class PagesPlan(RunPlan):
    selection: Sweep
    pages: int


class PageAttempt(Attempt):
    page: int

    @property
    def unit(self) -> str:
        return f"page={self.page}"


class PageAudit(PartAudit):
    page: int


class PagesManifest(RunManifest):
    selection: Sweep
    open_pages: tuple[int, ...] = ()

    @property
    def open_units(self) -> frozenset[str]:
        return frozenset(f"page={page}" for page in self.open_pages)


Run = committed.CommittedRun[PagesManifest, PageAudit, dict[str, Any]]


def a_plan(run_id: str = "r1", *, minutes: float = 0, pages: int = 2, **sweep: Any) -> PagesPlan:
    selection = Sweep(**{"listing": "people"} | sweep)
    return PagesPlan(run_id=run_id, selection=selection, created_at=START + timedelta(minutes=minutes), pages=pages)


def fetch(store: ObjectStore, run_id: str, page: int, *, records: int = 2) -> PageAudit:
    """A page of two people, published and proved."""
    body = gzip.compress(b"".join(json.dumps({"id": 2 * page + one}).encode() + b"\n" for one in (0, 1)), mtime=0)
    key = f"raw/people/run_id={run_id}/page-{page}.json.gz"
    store.put_new(key, body)
    audit = PageAudit(
        key=key, records=records, bytes=len(body), sha256=hashlib.sha256(body).hexdigest(), started_at=START,
        proved_at=START, seconds=0.1, requests=1, retries=0, software={}, page=page,
    )  # fmt: skip
    store.put_new(_audit_key(run_id, page), audit.to_bytes())
    return audit


def _audit_key(run_id: str, page: int) -> str:
    return f"metadata/audits/people/run_id={run_id}/page-{page}.json"


def an_attempt(page: int, *, temporary: bool, run_id: str = "r1", minutes: float = 0) -> PageAttempt:
    return PageAttempt(
        run_id=run_id, attempt=1, reason="refused", detail="no", temporary=temporary, final=True, records=0, bytes=0,
        at=START + timedelta(minutes=minutes), page=page,
    )  # fmt: skip


def commit_pages(
    store: ObjectStore, plan: PagesPlan, pages: Iterable[PageAudit], *, minutes: float = 9
) -> PagesManifest:
    lines = b"".join(page.to_bytes() for page in pages)
    missing = tuple(sorted(set(range(plan.pages)) - {page.page for page in pages}))
    manifest = PagesManifest(
        run_id=plan.run_id, selection=plan.selection, files_planned=plan.pages, files_downloaded=lines.count(b"\n"),
        files_failed=len(missing), status="partial" if missing else "completed",
        rows=sum(page.records for page in pages), bytes=sum(page.bytes for page in pages),
        file_audits=lines.count(b"\n"), file_audits_sha256=commit.digest_of(lines), created_at=plan.created_at,
        finished_at=START + timedelta(minutes=minutes), software={}, open_pages=missing,
    )  # fmt: skip
    return commit.commit(store, manifest, lambda one: {lake_layout.runs.file_audits(one.run_id): _lines(store, one)})


def _lines(store: ObjectStore, manifest: PagesManifest) -> bytes:
    proved = sorted(set(range(manifest.files_planned)) - set(manifest.open_pages))
    return b"".join(store.get(_audit_key(manifest.run_id, page)) or b"" for page in proved)


def decode(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in gzip.decompress(b"".join(chunks)).splitlines())


def a_run(
    store: ObjectStore, run_id: str = "r1", *, minutes: float = 0, missing: int = 0, **sweep: Any
) -> PagesManifest:
    """Planned, fetched, committed."""
    plan = plans.write_plan(store, a_plan(run_id, minutes=minutes, **sweep))
    pages = [fetch(store, run_id, page) for page in range(plan.pages - missing)]
    for page in range(plan.pages - missing, plan.pages):
        attempts.write_attempt(store, an_attempt(page, temporary=False, run_id=run_id))
    return commit_pages(store, plan, pages, minutes=minutes + 1)


def opened(store: ObjectStore, run_id: str = "r1") -> Run:
    return committed.open_run(store, run_id, PagesManifest, PageAudit, decode)


class CountingStore(MemoryStore):
    """Counts the requests that S3 would get: of a listing its first page."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []

    def get(self, key: str) -> bytes | None:
        self.requests.append(f"get {key}")
        return super().get(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.requests.append(f"list {prefix}")
        return super().list(prefix)

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        self.requests.append(f"put {key}")
        return super().put_new(key, body, sha256=sha256)


class LakeCase(unittest.TestCase):
    def setUp(self) -> None:
        self.store = CountingStore()
        self.addCleanup(self.store.close)
