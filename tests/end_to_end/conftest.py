"""A sandbox in this process, the command in its own: as a user has them."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from sandbox.open_payments import Sandbox, Settings
from tests.end_to_end.programs import Program

YEAR = 2024


@dataclass(frozen=True)
class Ended:
    """How one command ended."""

    status: int
    fact: dict[str, Any]
    stderr: str


@dataclass(frozen=True)
class World:
    """A source and a lake, and how to run a command between them."""

    source: Sandbox
    lake: Path
    environment: Mapping[str, str]

    @classmethod
    def of(cls, source: Sandbox, lake: Path, **more: str) -> Self:
        """With the settings under which jobs find both, and ``more``."""
        found = {"OPEN_PAYMENTS_URL": source.url, "LAKE_URL": str(lake)}
        return cls(
            source, lake, os.environ | found | {"SOURCE_FIRST_WAIT_SECONDS": "0.05", "LOG_FORMAT": "json"} | more
        )

    def start(self, *words: str, command: str = "run", **environment: str) -> Program:
        words = ("-m", "data_pipeline", command, *words)
        return Program(*words, env={**self.environment, **environment}, cwd=self.lake.parent)

    def run(self, *words: str, command: str = "run", **environment: str) -> Ended:
        process = self.start(*words, command=command, **environment)
        stdout, stderr = process.communicate(timeout=250)
        lines = stdout.splitlines()
        assert len(lines) <= 1, f"stdout carries the fact alone: {stdout}"
        return Ended(process.returncode, json.loads(lines[0]) if lines else {}, stderr)

    def doctor(self, *words: str, **environment: str) -> Ended:
        return self.run(*words, command="doctor", **environment)

    def pipeline(self, *words: str, **environment: str) -> Ended:
        return self.run("run_pipeline", "--", "--year", str(YEAR), *words, **environment)

    def slices(self, dataset: str = "general-payments") -> dict[str, dict[str, Any]]:
        """By company of a dataset, the newest proof of each with the audits of its ``parts``."""
        paths = self.lake.glob(f"metadata/audits/dataset={dataset}/**/slice*.jsonl")
        lines = (path.read_text().splitlines() for path in paths)
        found = [json.loads(own) | {"parts": [*map(json.loads, parts)]} for own, *parts in lines]
        return {audit["company_id"]: audit for audit in sorted(found, key=lambda audit: audit["generation"])}

    def downloads(self) -> list[dict[str, Any]]:
        """The requests for rows of payments: those for CMS's summaries name a program year."""
        asked = (one for one in self.source.ledger() if "/download" in one["target"])
        return [one for one in asked if "program_year" not in one["target"]]

    def attempts(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in self.lake.glob("metadata/runs/*/failures/*/*.json")]

    def manifests(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.lake.glob("metadata/runs/*/manifest.json"))]

    def files(self) -> dict[str, int]:
        """Every file of the lake but logs, with its time of change."""
        found = (path for path in self.lake.rglob("*") if path.is_file())
        return {str(path.relative_to(self.lake)): path.stat().st_mtime_ns for path in found}

    def assert_equals_truth(self, dataset: str = "general-payments") -> None:
        """Every slice of a dataset is what the source holds, and every part is what its audit says."""
        in_sandbox = dataset.removesuffix("-payments")
        for company_id, audit in self.slices(dataset).items():
            truth = self.source.truth(YEAR, company_id, dataset=in_sandbox)["companies"][company_id]
            assert (audit["records"], audit["content_hash"]) == (truth["rows"], truth["content_hash"]), company_id
            for part in audit["parts"]:
                assert (self.lake / part["key"]).stat().st_size == part["bytes"]
        audited = {part["key"] for audit in self.slices(dataset).values() for part in audit["parts"]}
        present = {str(path.relative_to(self.lake)) for path in self.lake.glob(f"raw/dataset={dataset}/**/*.csv")}
        assert audited <= present
        assert not list(self.lake.rglob(".scratch")), "something unfinished was left behind"


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Twelve small companies; `@pytest.mark.parametrize("world", [{…}], indirect=True)` for others."""
    chosen = {"years": (YEAR,), "scale": 0.02, "first_companies": 12, **getattr(request, "param", {})}
    with Sandbox(Settings(**chosen)) as source:
        yield World.of(source, tmp_path / "lake", XDG_CACHE_HOME=str(tmp_path / "cache"), SOURCE_TIMEOUT_SECONDS="10")
