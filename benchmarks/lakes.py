"""Lakes of many runs: one run is fetched, the others are copies of its documents, written without fsync."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import committed, schemas
from data_pipeline.open_payments.ledger.audits import Audits
from data_pipeline.open_payments.ledger.documents import PlannedCompany, SliceResult
from data_pipeline.open_payments.ledger.plans import require_plan
from data_pipeline.runs import commit, pointers
from etl_core.lake import content_of
from etl_core.lake.directory import DirectoryStore
from etl_core.lake.port import PutResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data_pipeline.open_payments.ledger.documents import Audit, Manifest, Plan
    from etl_core.lake import Body, ObjectStore

Shape = Literal["whole years", "small runs"]
SEED, OPEN, PARTIAL = "seed", "open", "partial"
SHARED_BYTES = 1_000_000


class UnsyncedStore(DirectoryStore):
    """A folder that is written without fsync; large objects of equal content share their bytes on disk."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._large: dict[bytes, Path] = {}

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        if isinstance(body, Path) or (self.root / key).exists():
            return super().put_new(key, body, sha256=sha256)
        self.put(key, body)
        return PutResult(created=True, sha256=content_of(body))

    def put(self, key: str, body: Body) -> None:
        if isinstance(body, Path):
            super().put(key, body)
            return
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if body in self._large and not path.exists():
            os.link(self._large[body], path)
            return
        path.write_bytes(body)
        if len(body) > SHARED_BYTES:
            self._large[body] = path


def fill(store: ObjectStore, shape: Shape, runs: int, spare: str) -> None:
    """Add ``runs`` to a lake that holds the run ``seed``, each planned a minute before the one added last.

    Whole years are copies of the seed, small runs take one of its companies each. None closes its year, and every
    second one is of the release before, whose slices are all closed. ``open`` is planned and not committed; in
    ``partial`` the company ``spare`` failed.
    """
    run = committed.open_run(store, SEED)
    plan, parts = require_plan(store, SEED), tuple(run.parts())
    older = plan.release.model_copy(update={"modified": "2020-01-20", "distribution_id": "0" * 36})
    schemas.write_schema(store, older, schemas.read_schema(store, plan.release))
    for part in parts:
        Audits(store, older).close_slice(part.company_id, (part,), part.records, part.proved_at)
    for number in range(runs):
        one = number // 2 % len(parts)
        chosen = slice(None) if shape == "whole years" else slice(one, one + 1)
        asked = {"max_files": None, "company_id": None if shape == "whole years" else parts[one].company_id}
        changes: dict[str, Any] = {
            "run_id": f"copy-{number}",
            "selection": plan.selection.model_copy(update=asked),
            "release": older if number % 2 else plan.release,
        }
        planned = plan.model_copy(update={**changes, "companies": plan.companies[chosen]})
        manifest = run.manifest.model_copy(update={**changes, "slices": run.manifest.slices[chosen]})
        _write(store, planned, manifest, parts[chosen], timedelta(minutes=number + 1))
    companies = (*plan.companies, PlannedCompany(company_id=spare, rows=1))
    failed = SliceResult(company_id=spare, verdict="failed", reason="rows_missing", rows_expected=1)
    changes = {"run_id": PARTIAL, "selection": plan.selection.model_copy(update={"max_files": len(companies)})}
    planned = plan.model_copy(update={**changes, "companies": companies})
    slices = {"slices": (*run.manifest.slices, failed), "status": "partial"}
    _write(store, planned, run.manifest.model_copy(update=changes | slices), parts)
    asked = {"slice_of": "1/1"}
    _write_plan(store, plan.model_copy(update={"run_id": OPEN, "selection": plan.selection.model_copy(update=asked)}))


def _write(
    store: ObjectStore, plan: Plan, manifest: Manifest, parts: Sequence[Audit], age: timedelta = timedelta()
) -> None:
    _write_plan(store, plan.model_copy(update={"created_at": plan.created_at - age}))
    lines = b"".join(part.to_bytes() for part in parts)
    digest = {"file_audits_sha256": commit.digest_of(lines), "file_audits": len(parts)}
    manifest = manifest.model_copy(update={**digest, "finished_at": manifest.finished_at - age})
    commit.commit(store, manifest, lambda one: {lake_layout.runs.file_audits(one.run_id): lines})


def _write_plan(store: ObjectStore, plan: Plan) -> None:
    pointers.write(store, pointers.of_plan(plan))
    store.put_new(lake_layout.runs.plan(plan.run_id), plan.to_bytes())
