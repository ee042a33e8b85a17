"""The commit of a run: its manifest, create-only, after everything it names."""

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
    """Write the pointers, the files beside the manifest and, last, the manifest; return the one that stands.

    ``files_of`` gives the files that follow from a manifest, by key. A process that died here may have left
    others, and another process may commit first: the files are always made to follow from the manifest
    that stands, by whichever process writes last.
    """
    pointers.write(store, pointers.of_manifest(manifest))
    _write(store, files_of(manifest))
    if store.put_new(lake_layout.runs.manifest(manifest.run_id), manifest.to_bytes()).created:
        return manifest
    theirs = read_manifest(type(manifest), store, manifest.run_id) or manifest
    repair(store, theirs, files_of)
    return theirs


def repair(store: ObjectStore, manifest: M, files_of: Callable[[M], Mapping[str, bytes]]) -> None:
    """Write the files beside a committed manifest once more, if its list of audits is not the one it names."""
    listed = store.get(lake_layout.runs.file_audits(manifest.run_id)) or b""
    if digest_of(listed) != manifest.file_audits_sha256:
        _write(store, files_of(manifest))


def _write(store: ObjectStore, files: Mapping[str, bytes]) -> None:
    for key, body in files.items():
        store.put(key, body)
