"""A committed run copied from one lake to another, create-only, its manifest last."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import structlog

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import releases
from data_pipeline.open_payments.ledger.audits import keys_of
from data_pipeline.open_payments.ledger.documents import Manifest, Plan, SliceAudit
from data_pipeline.open_payments.ledger.plans import require_plan
from data_pipeline.runs import pointers
from etl_core.errors import ConflictError, DataError, UsageError
from etl_core.files import translate_os_errors
from etl_core.lake import content_of, overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.open_payments.ledger.documents import Audit
    from etl_core.documents import Document
    from etl_core.lake import ObjectStore

WORKERS = 8

_log = structlog.get_logger()


@dataclass(frozen=True)
class ToCopy:
    """One object of a run; ``sha256`` and ``size`` where the audits know them, ``kind`` where it is a document."""

    key: str
    sha256: str | None = None
    size: int | None = None
    kind: type[Document] | None = None


@dataclass(frozen=True)
class Uploaded:
    """What was copied and what was there before."""

    files: int
    copied: int
    same: int
    bytes: int


def objects_of(plan: Plan, manifest: Manifest, audits: Iterable[Audit]) -> list[ToCopy]:
    """Every object of a run: parts before their audits, audits before what names them, the manifest last.

    The pointers go with it, so that the same command finds the run in the other lake and does nothing there.
    """
    parts: list[ToCopy] = []
    proofs: dict[str, ToCopy] = {}
    slices: dict[str, ToCopy] = {}
    generations = {one.company_id: one.generation for one in manifest.slices}
    for audit in audits:
        parts.append(ToCopy(audit.key, audit.sha256, audit.bytes))
        keys = keys_of(audit.release, audit.company_id)
        proof = keys.part_audit(audit.window.number, audit.window.of, audit.generation)
        proofs[proof] = ToCopy(proof, content_of(audit.to_bytes()))
        closes = keys.slice_audit(generations.get(audit.company_id, 1))
        slices[closes] = ToCopy(closes, kind=SliceAudit)
    release, run_id = manifest.release, manifest.run_id
    return [
        *parts,
        *proofs.values(),
        *slices.values(),
        ToCopy(releases.key_of(release)),
        ToCopy(lake_layout.open_payments.schema(release.dataset, release.year, release.name)),
        *map(ToCopy, pointers.of_plan(plan)),
        ToCopy(lake_layout.runs.plan(run_id), kind=Plan),
        ToCopy(lake_layout.runs.file_audits(run_id), manifest.file_audits_sha256),
        ToCopy(lake_layout.open_payments.download_report(run_id, manifest.year)),
        *map(ToCopy, pointers.of_manifest(manifest)),
        ToCopy(lake_layout.runs.manifest(run_id), kind=Manifest),
    ]


def missing(wanted: Iterable[ToCopy], there: dict[str, int]) -> list[ToCopy]:
    """What the other lake lacks or has in another size, by listings alone: nothing is asked key by key."""
    return [
        one for one in wanted if there.get(one.key) is None or (one.size is not None and there[one.key] != one.size)
    ]


def upload_run(
    here: ObjectStore,
    there: ObjectStore,
    run: Run,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    on_file: Callable[[str], None] = lambda _line: None,
) -> Uploaded:
    """Copy what is missing there, the manifest last.

    Raises:
        UsageError: both are one lake, or one lies within the other.
        ConflictError: other content lies under a key of the run, and ``overwrite`` was not asked for.
        DataError: the list of the run's parts is not the one its manifest names, or the report beside it is missing.

    """
    if overlap(here, there):
        raise UsageError(
            f"{there.url} and {here.url} are the same lake, or one lies within the other.",
            advice="Name another lake to copy to.",
        )
    manifest, plan = run.manifest, require_plan(here, run.manifest.run_id)
    mine = {entry.key: entry.size for prefix in _prefixes(plan, manifest) for entry in here.list(prefix)}
    report = lake_layout.open_payments.download_report(manifest.run_id, manifest.year)
    if report not in mine:
        raise DataError(
            f"{here.url} has no {report}.",
            advice=f"Derive it again: data-pipeline run write_manifest -- --run-id {manifest.run_id}",
        )
    wanted = [replace(one, size=mine.get(one.key, one.size)) for one in objects_of(plan, manifest, run.parts())]
    present = {entry.key: entry.size for prefix in _prefixes(plan, manifest) for entry in there.list(prefix)}
    last = lake_layout.runs.manifest(manifest.run_id)
    todo = wanted
    if last in present and not overwrite:
        # The manifest is copied last, so it proves that the rest was copied; without it everything is compared.
        _must_be_the_same(here, there, last)
        todo = missing(wanted, present)
    if dry_run:
        for one in todo:
            on_file(f"would copy  {one.key}")
        return Uploaded(len(wanted), 0, len(wanted) - len(todo), sum(one.size or 0 for one in todo))

    def copy(one: ToCopy) -> int:
        copied, size = _copy(here, there, one, overwrite=overwrite)
        on_file(f"{'copied' if copied else 'same  '}  {one.key}")
        return size if copied else -1

    sizes: list[int] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        # Audits after the parts they prove: an interrupted copy has no audit without its part.
        for _, together in groupby(todo, key=lambda one: (one.key.startswith("raw/"), one.key == last)):
            sizes += pool.map(copy, together)
    copied = [size for size in sizes if size >= 0]
    return Uploaded(len(wanted), len(copied), len(wanted) - len(copied), sum(copied))


def _copy(here: ObjectStore, there: ObjectStore, one: ToCopy, *, overwrite: bool) -> tuple[bool, int]:
    """Whether it was written there, and its size; what is there is replaced only if it differs, and never removed."""
    path, sha256 = _fetched(here, there, one)
    size = path.stat().st_size
    put = there.put_new(one.key, path, sha256=sha256)
    if put.created or put.sha256 == sha256:
        return put.created, size
    if not overwrite:
        raise ConflictError(
            f"{there.url}/{one.key} holds other content: there sha256 {put.sha256}, here {sha256}.",
            advice="Nothing was overwritten; --overwrite does.",
        )
    _log.warning("overwriting", key=one.key, lake=there.url, sha256=put.sha256)
    there.put(one.key, _fetched(here, there, one)[0])
    return True, size


def _fetched(here: ObjectStore, there: ObjectStore, one: ToCopy) -> tuple[Path, str]:
    """A scratch file of the other lake with the object's bytes, and their SHA-256."""
    path = there.scratch_file()
    try:
        with translate_os_errors(f"write {path}"), path.open("wb") as stream:
            for chunk in here.read(one.key):
                stream.write(chunk)
        sha256 = content_of(path)
        if one.kind is not None and not one.kind.parse(path.read_bytes(), one.key).is_at(one.key):
            raise DataError(f"{here.url}/{one.key} is the {one.kind.__name__} of another place; not copied.")
        if one.sha256 is not None and sha256 != one.sha256:
            raise ConflictError(f"{here.url}/{one.key} holds sha256 {sha256}, its audit says {one.sha256}; not copied.")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path, sha256


def _must_be_the_same(here: ObjectStore, there: ObjectStore, key: str) -> None:
    mine, theirs = (hashlib.sha256(store.get(key) or b"").hexdigest() for store in (here, there))
    if mine != theirs:
        raise ConflictError(
            f"{there.url}/{key} holds other content: there sha256 {theirs}, here {mine}.",
            advice="Nothing was overwritten; --overwrite does.",
        )


def _prefixes(plan: Plan, manifest: Manifest) -> list[str]:
    where = manifest.release.dataset, manifest.release.year, manifest.release.name
    return [
        lake_layout.open_payments.release_parts(*where),
        lake_layout.open_payments.release_audits(*where),
        releases.key_of(manifest.release),
        lake_layout.open_payments.schema(*where),
        lake_layout.runs.folder(manifest.run_id),
        *pointers.of_plan(plan),
        *pointers.of_manifest(manifest),
    ]
