"""Lakes of many runs: one run is fetched, the others are copies of its documents, written without fsync."""

from __future__ import annotations

import os
import re
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
        self._large: dict[str, Path] = {}

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
        if len(body) <= SHARED_BYTES:
            path.write_bytes(body)
            return
        shared = self._large.setdefault(content_of(body), path)
        if shared == path or path.exists():
            path.write_bytes(body)
        else:
            os.link(shared, path)


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


def commit_parts(store: ObjectStore, seed: str, run_id: str, parts: Sequence[Audit]) -> None:
    """Commit a run of parts that are in the lake; the rest is as in the run ``seed``."""
    run = committed.open_run(store, seed)
    kept = {part.company_id for part in parts}
    slices = tuple(one for one in run.manifest.slices if one.company_id in kept)
    rows = sum(part.records for part in parts)
    changes = {"run_id": run_id, "slices": slices, "rows": rows}
    _write(
        store,
        require_plan(store, seed).model_copy(update={"run_id": run_id}),
        run.manifest.model_copy(update=changes),
        parts,
    )


def multiplied(store: ObjectStore, seed: str, run_id: str, copies: int, *, least_bytes: int = 0) -> None:
    """Commit a run with the parts of another that have so many bytes, and with copies of them, so many of each in all.

    Copies have payers and record ids of their own.
    """
    run, parts = committed.open_run(store, seed), []
    for part in run.parts():
        if part.bytes >= least_bytes:
            body = b"".join(run.chunks(part))
            parts += [_copied(store, part, body, number) if number else part for number in range(copies)]
    commit_parts(store, seed, run_id, parts)


def _copied(store: ObjectStore, part: Audit, body: bytes, number: int) -> Audit:
    """A part of another payer: ids of the sandbox begin with 100 and have 12 digits, or with 10 or 11 and have ten."""
    payer = f"10{number}{part.company_id[3:]}"
    body = body.replace(b",100000", b",10%d000" % number)
    body = re.sub(rb",1([01]\d{8}),", rb",%d\1," % (number + 1), body)
    window = part.window
    return _put(store, part, body, part.release.keys(payer).part(window.number, window.of), company_id=payer)


def proved_again(store: ObjectStore, seed: str, run_id: str, company_id: str) -> None:
    """Commit a run in which one company of another run has a second proof, of changed rows."""
    parts = list(committed.open_run(store, seed).parts())
    for place, part in enumerate(parts):
        if part.company_id == company_id:
            body = b"".join(committed.open_run(store, seed).chunks(part)).replace(b",NEW,", b",ADD,")
            key = part.release.keys(company_id).part(part.window.number, part.window.of, 2)
            parts[place] = _put(store, part, body, key, generation=2)
    commit_parts(store, seed, run_id, parts)


def _put(store: ObjectStore, part: Audit, body: bytes, key: str, **changes: object) -> Audit:
    store.put_new(key, body)
    said = {"key": key, "bytes": len(body), "sha256": content_of(body), **changes}
    return part.model_copy(update=said)


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
