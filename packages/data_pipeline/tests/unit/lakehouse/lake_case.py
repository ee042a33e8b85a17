"""A lake in memory with a committed run of CSV parts, under the contract of ``tables``."""

import tempfile
import unittest
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb

from data_pipeline.lakehouse.contract import Contract
from data_pipeline.lakehouse.conversion import DuckDb
from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.parts import Parts
from data_pipeline.lakehouse.stage import Staging
from data_pipeline.runs.commit import commit, digest_of
from data_pipeline.runs.committed import CommittedRun, open_run
from data_pipeline.runs.documents import CsvPartAudit, RunManifest
from etl_core.csv_stream.dialect import write_fields
from etl_core.documents import Value
from etl_core.lake import content_of
from etl_core.progress import Progress
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.lakehouse.tables import CONTRACT

START = datetime(2026, 11, 29, 12, tzinfo=UTC)
SCOPE = "payments/year=2024/release=a"
Run = CommittedRun[RunManifest, CsvPartAudit, list[bytes]]


class Selection(Value):
    year: int = 2024


def csv_of(records: Iterable[Iterable[str]], header: Iterable[str] = CONTRACT.header) -> bytes:
    return b"".join(write_fields([one.encode() for one in record]) + b"\n" for record in (header, *records))


def raw_key(payer: str, scope: str = SCOPE) -> str:
    return f"raw/{scope}/payer={payer}/part-1-of-1.csv"


class LakehouseCase(unittest.TestCase):
    def setUp(self) -> None:
        self.store = self.new_store()
        self.addCleanup(self.store.close)
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def new_store(self) -> MemoryStore:
        return MemoryStore()

    def commit(
        self,
        parts: dict[str, bytes],
        *,
        run_id: str = "r1",
        closed: bool = True,
        of_each: Mapping[str, dict[str, Any]] = MappingProxyType({}),
        **of_audits: Any,
    ) -> Run:
        """Commit a run of parts, by payer: CSV without line breaks in its records, unless ``of_each`` says how many."""
        audits = []
        for payer, body in parts.items():
            key = of_audits.get("key") or raw_key(payer)
            self.store.put_new(key, body)
            values: dict[str, Any] = {
                "key": key, "records": body.count(b"\n") - 1, "bytes": len(body), "sha256": content_of(body),
                "started_at": START, "proved_at": START, "seconds": 1, "requests": 1, "retries": 0, "software": {},
                "dialect": "rfc4180", "content_hash": "0" * 64, "header_hash": "0" * 64,
            }  # fmt: skip
            audits.append(CsvPartAudit.model_validate(values | of_audits | of_each.get(payer, {})))
        listed = b"".join(one.to_bytes() for one in audits)
        manifest = RunManifest(
            run_id=run_id, selection=Selection(), files_planned=len(parts), files_downloaded=len(parts),
            files_failed=0, status="completed" if closed else "partial", rows=sum(one.records for one in audits),
            bytes=0, file_audits=len(audits), file_audits_sha256=digest_of(listed), created_at=START,
            finished_at=START, software={},
        )  # fmt: skip
        commit(self.store, manifest, lambda _: {f"metadata/runs/run_id={run_id}/file_audits.jsonl": listed})
        return open_run(self.store, run_id, RunManifest, CsvPartAudit)

    def staging(self, run: Run, contract: Contract = CONTRACT, **options: Any) -> Staging:
        given: dict[str, Any] = {"aliases": {}, "accept_drift": False, "store": self.store} | options
        return Staging(
            given["store"],
            Parts(run, contract, given["aliases"], given["accept_drift"]),
            options.get("engine", DuckDb(Limits(memory_mb=400, workers=2))),
            now=lambda: START,
            progress=Progress(),
            check_stop=options.get("check_stop", lambda: None),
        )

    def table(self, key: str) -> list[dict[str, Any]]:
        """The rows of a Parquet file of the lake."""
        path = self.folder / "table.parquet"
        path.write_bytes(self.store.get(key) or b"")
        cursor = duckdb.execute(f"FROM read_parquet('{path}')")
        names = [one[0] for one in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
