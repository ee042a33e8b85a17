"""The commit of a run: its manifest, create-only, after all proofs; then the files that follow from it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from data_pipeline import lake_layout
from data_pipeline.runs import pointers
from data_pipeline.runs.documents import RunManifest
from etl_core.documents import read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from etl_core.lake import ObjectStore

M = TypeVar("M", bound=RunManifest)


def read_manifest(kind: type[M], store: ObjectStore, run_id: str) -> M | None:
    """The manifest of a run, or None: then the run is not committed."""
    return read(kind, store, lake_layout.runs.manifest(run_id))


def digest_of(file_audits: bytes) -> str:
    """SHA-256 of ``file_audits.jsonl``, as the manifest has it."""
    return hashlib.sha256(file_audits).hexdigest()


def commit(store: ObjectStore, manifest: M, files_of: Callable[[M], Mapping[str, bytes]]) -> M:
    """Write the pointers, the manifest, and the files that follow from the manifest that stands; return that one.

    ``files_of`` gives these files by key. None is written before the manifest: what each process knew would be
    written over what the other knew. So all that write them write the same bytes, in any order and at any time.
    """
    pointers.write(store, pointers.of_manifest(manifest))
    created = store.put_new(lake_layout.runs.manifest(manifest.run_id), manifest.to_bytes()).created
    standing = None if created else read_manifest(type(manifest), store, manifest.run_id)
    repair(store, standing or manifest, files_of)
    return standing or manifest


def repair(store: ObjectStore, manifest: M, files_of: Callable[[M], Mapping[str, bytes]]) -> None:
    """Write each file beside a committed manifest that is missing or differs from what follows from the manifest."""
    for key, body in files_of(manifest).items():
        if store.get(key) != body:
            store.put(key, body)
