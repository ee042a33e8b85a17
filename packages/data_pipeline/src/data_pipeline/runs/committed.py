"""Committed runs, read. Everything downstream of a run reads it here and nowhere else.

The manifest holds the digest of ``file_audits.jsonl``, and each of its lines the digest of a part. Both
digests are checked on reading, so everything returned here was proved.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from data_pipeline import lake_layout
from data_pipeline.runs import pointers
from data_pipeline.runs.commit import digest_of, read_manifest
from data_pipeline.runs.documents import PartAudit, RunManifest
from etl_core.csv_stream.reader import RecordError
from etl_core.csv_stream.records import fields_of
from etl_core.documents import read_or_skip
from etl_core.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from etl_core.documents import Value
    from etl_core.lake import ObjectStore

A = TypeVar("A", bound=PartAudit)
M = TypeVar("M", bound=RunManifest)
R = TypeVar("R")
Decoder = Callable[[Iterable[bytes]], Iterator[R]]


@dataclass(frozen=True)
class AuditList(Generic[A]):
    """``file_audits.jsonl`` as it is in the lake, whether or not it is what it must be."""

    kind: type[A]
    key: str
    raw: bytes

    @classmethod
    def read(cls, kind: type[A], store: ObjectStore, run_id: str) -> AuditList[A]:
        """The list of a run; empty if it is missing."""
        key = lake_layout.runs.file_audits(run_id)
        return cls(kind, key, store.get(key) or b"")

    def is_of(self, manifest: RunManifest) -> bool:
        """Whether it is the list that the manifest names."""
        return digest_of(self.raw) == manifest.file_audits_sha256

    def entries(self) -> Iterator[A | DataError]:
        """The audits, line by line, each with its stored bytes (``to_bytes``); an error for a line that is none."""
        for number, line in enumerate(io.BytesIO(self.raw), 1):
            try:
                yield self.kind.parse(line, f"{self.key} line {number}")
            except DataError as error:
                yield error


class CommittedRun(Generic[M, A, R]):
    """One committed run, from its manifest down to the records of its parts."""

    def __init__(self, store: ObjectStore, manifest: M, kind: type[A], decode: Decoder[R]) -> None:
        self._store = store
        self._kind = kind
        self._decode = decode
        self.manifest = manifest

    def parts(self) -> Iterator[A]:
        """The audits of all parts, one by one in the list's order; ``to_bytes`` of each is its line as stored.

        Raises:
            DataError: the list is missing, or not the one that the manifest names.

        """
        listed = AuditList.read(self._kind, self._store, self.manifest.run_id)
        if not listed.is_of(self.manifest):
            raise DataError(
                f"{self._store.url}/{listed.key} is not the file that the manifest beside it names.",
                advice=f"Derive it again: data-pipeline run write_manifest -- --run-id {self.manifest.run_id}",
            )
        for one in listed.entries():
            if isinstance(one, DataError):
                raise one
            yield one

    def uri(self, part: A) -> str:
        """Where other tools open the part."""
        return self._store.uri(part.key)

    def chunks(self, part: A) -> Iterator[bytes]:
        """The bytes of a part.

        Raises:
            DataError: it is missing, or at the end: its size or digest is not the audited one.

        """
        digest, size = hashlib.sha256(), 0
        try:
            for chunk in self._store.read(part.key):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        except NotFoundError as error:
            raise self.damaged(part, "it is missing") from error
        if (size, digest.hexdigest()) != (part.bytes, part.sha256):
            raise self.damaged(part, f"{size} bytes with sha256 {digest.hexdigest()}, proved were {part.sha256}")

    def records(self, part: A) -> Iterator[R]:
        """The records of a part, decoded, one at a time; trust them only once the last has come.

        Raises:
            DataError: as ``chunks``, or they cannot be decoded, or are not as many as audited.

        """
        found = 0
        try:
            for record in self._decode(self.chunks(part)):
                found += 1
                yield record
        except RecordError as error:
            raise self.damaged(part, error.detail) from error
        if found != part.records:
            raise self.damaged(part, f"{found} records, proved were {part.records}")

    def damaged(self, part: A, found: str) -> DataError:
        """The error for a part that is not what its audit says."""
        return DataError(
            f"{self._store.url}/{part.key} is not the part that its audit proves: {found}.",
            advice="Restore it from another copy of the lake.",
        )


@overload
def open_run(store: ObjectStore, run_id: str, manifest: type[M], audit: type[A]) -> CommittedRun[M, A, list[bytes]]: ...
@overload
def open_run(
    store: ObjectStore, run_id: str, manifest: type[M], audit: type[A], decode: Decoder[R]
) -> CommittedRun[M, A, R]: ...
def open_run(
    store: ObjectStore, run_id: str, manifest: type[M], audit: type[A], decode: Decoder[Any] = fields_of
) -> CommittedRun[M, A, Any]:
    """A committed run by its name. ``decode`` gives the records of a part's bytes: by default the fields of a CSV file.

    Raises:
        NotFoundError: there is no such run. DataError: it is not committed, or its manifest cannot be read.

    """
    found = read_manifest(manifest, store, run_id)
    if found is None and store.head(lake_layout.runs.plan(run_id)) is None:
        raise NotFoundError(f"{store.url} has no run {run_id}.", advice="Name one that metadata/runs/ holds.")
    if found is None:
        raise DataError(
            f"run {run_id} is not committed, so nothing proves it.",
            advice=f"Commit it first: data-pipeline run write_manifest -- --run-id {run_id}",
        )
    return CommittedRun(store, found, audit, decode)


def newest_run(
    store: ObjectStore, selection: Value, manifest: type[M], audit: type[A], *, closed: bool = True
) -> CommittedRun[M, A, list[bytes]] | None:
    """The newest committed run of a selection, by default the newest closed one, or None."""
    for run_id in pointers.newest_first(store, lake_layout.runs.selection(pointers.hash_of(selection))):
        found = read_or_skip(manifest, store, lake_layout.runs.manifest(run_id))
        if found is not None and found.selection == selection and (found.is_closed or not closed):
            return CommittedRun(store, found, audit, fields_of)
    return None


def newest_in(store: ObjectStore, folder: str, manifest: type[M], *, closed: bool = False) -> M | None:
    """The newest manifest, or the newest closed one, of those that a folder of pointers names; None without one."""
    found = (
        read_or_skip(manifest, store, lake_layout.runs.manifest(run_id))
        for run_id in pointers.newest_first(store, folder)
    )
    return next((one for one in found if one is not None and (one.is_closed or not closed)), None)
