"""A CRM in this process, the command in its own, and what the lake then has of customers."""

import csv
import gzip
import io
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_pipeline.customers.columns import columns
from etl_core.csv_stream.from_json import text_of
from sandbox.crm import Crm
from tests.end_to_end.conftest import Ended
from tests.end_to_end.programs import Program

PER_PAGE = 50


@dataclass(frozen=True)
class Customers:
    """A CRM and a lake, and how to run the job between them."""

    crm: Crm
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    @property
    def settings(self) -> dict[str, str]:
        return {
            "API_BASE_URL": self.crm.url,
            "API_TOKEN": self.crm.settings.token,
            "RECORDS_PER_PAGE": str(PER_PAGE),
            "API_FIRST_WAIT_SECONDS": "0.01",
            "API_TIMEOUT_SECONDS": "10",
            "LAKE_URL": str(self.lake),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "LOG_FORMAT": "json",
            **self.environment,
        }

    def start(
        self, *words: str, program: tuple[str, ...] = ("-m", "data_pipeline", "run"), **environment: Any
    ) -> Program:
        return Program(*program, *words, env=os.environ | self.settings | environment, cwd=self.folder)

    def run(self, *words: str, **environment: Any) -> Ended:
        with self.start(*words, **environment) as process:
            stdout, stderr = process.communicate(timeout=100)
        lines = stdout.splitlines()
        assert len(lines) <= 1, f"stdout carries the fact alone: {stdout}"
        return Ended(process.returncode, json.loads(lines[0]) if lines else {}, stderr)

    def ingest(self, *options: str, **environment: str) -> Ended:
        return self.run("ingest_customers", *(("--", *options) if options else ()), **environment)

    def asked(self) -> list[int]:
        """The pages that were asked for, in order."""
        return [one["page"] for one in self.crm.ledger()]

    def manifests(self) -> list[dict[str, Any]]:
        found = (json.loads(path.read_text()) for path in self.lake.glob("metadata/runs/*/manifest.json"))
        return sorted(found, key=lambda one: one["finished_at"])

    def pages(self) -> list[Path]:
        return sorted(self.lake.glob("raw/customers/*/*/pages/*/*.json.gz"))

    def extract(self, manifest: dict[str, Any] | None = None) -> list[dict[str, str]]:
        """The rows of the CSV of a run, by default of the last one."""
        manifest = manifest or self.manifests()[-1]
        text = (self.lake / manifest["extract"]["key"]).read_bytes().decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def files(self) -> dict[str, int]:
        """Every file of the lake but logs, with its time of change."""
        found = (path for path in self.lake.rglob("*") if path.is_file())
        return {str(path.relative_to(self.lake)): path.stat().st_mtime_ns for path in found}

    def everything(self) -> bytes:
        """All bytes that a run left, pages unzipped."""
        raw = [path.read_bytes() for path in self.folder.rglob("*") if path.is_file()]
        return b"\n".join([*raw, *(gzip.decompress(path.read_bytes()) for path in self.pages())])

    @staticmethod
    def processes(pid: int) -> bytes:
        """What everybody on this machine sees of a process."""
        return Path(f"/proc/{pid}/cmdline").read_bytes()

    def assert_equals_truth(self) -> None:
        assert as_rows(self.extract()) == truth_of(self.crm)


def truth_of(crm: Crm) -> Counter[tuple[tuple[str, str], ...]]:
    """The rows that the CSV of all customers has now."""
    return as_rows(
        {name: text_of(record[name]).decode() if name in record else "N/A" for name in columns("id").titles}
        for record in crm.truth(records=True)["records"]
    )


def as_rows(rows: Any) -> Counter[tuple[tuple[str, str], ...]]:
    return Counter(tuple(row.items()) for row in rows)
