"""Staging: the parts of a committed run become typed Parquet, and quarantine.

Good records are written in a first pass. Only where they are fewer than the audit says does a second pass look for the
others. Files are written here, checked, and uploaded create-only; the document of a part comes last. A process that
dies leaves files that the next one finds again, for the same part under the same contract gives the same records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from data_pipeline import __version__
from data_pipeline.lake_layout import lakehouse as keys
from data_pipeline.lake_layout.lakehouse import StagedKeys
from data_pipeline.lakehouse.documents import NewValues, StagedPart, StoredFile
from etl_core.documents import read
from etl_core.errors import ConflictError
from etl_core.lake import in_parallel, put_or_agree, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from data_pipeline.lakehouse.contract import Contract
    from data_pipeline.lakehouse.conversion import Converted
    from data_pipeline.lakehouse.parts import Parts
    from data_pipeline.runs.documents import CsvPartAudit
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress


class Engine(Protocol):
    """What converts parts: DuckDB within this process, or Spark. The same contract gives the same rows with either."""

    @property
    def workers(self) -> int:
        """Batches at once."""
        ...

    @property
    def most(self) -> tuple[int, int]:
        """Parts and bytes of a batch."""
        ...

    @property
    def software(self) -> dict[str, str]:
        """What documents say of it."""
        ...

    def convert(self, parts: Parts, batch: Sequence[CsvPartAudit], folder: Path) -> list[Converted]:
        """The records of a batch, staged or quarantined, as files on this machine.

        Raises:
            DataError: a part is not the audited one, has another header, or cannot be read to the last record.

        """
        ...


@dataclass
class Staging:
    """The parts of one run under one contract."""

    store: ObjectStore
    parts: Parts
    engine: Engine
    now: Callable[[], datetime]
    progress: Progress
    check_stop: Callable[[], None]

    @property
    def contract(self) -> Contract:
        """That all parts are staged under."""
        return self.parts.contract

    def keys(self, part: CsvPartAudit) -> StagedKeys:
        """Where a part is staged."""
        return StagedKeys.of_part(part.key, self.contract.hash)

    def done(self) -> dict[str, StagedPart]:
        """What is staged already and has its files, by the key of its part.

        Raises:
            ConflictError: it is of other bytes than the run's part.

        """
        wanted = {self.keys(part).document: part for part in self.parts.audits}
        scopes = sorted({self.keys(part).scope for part in wanted.values()})
        prefixes = [prefix for scope in scopes for prefix in keys.staged_zones(scope, self.contract.hash)]
        there = {entry.key for prefix in prefixes for entry in self.store.list(prefix)}
        documents = sorted(there & wanted.keys())
        read = zip(documents, in_parallel(self._read, documents), strict=True)
        found = {key: one for key, one in read if one is not None and {file.key for file in one.files} <= there}
        for key, one in found.items():
            if one.part_sha256 != wanted[key].sha256:
                raise ConflictError(
                    f"{self.store.url}/{key} is of other bytes than the run's part {one.part}: sha256 "
                    f"{one.part_sha256}, proved were {wanted[key].sha256}.",
                    advice="Nothing was overwritten.",
                )
        return {one.part: one for one in found.values()}

    def run(self, done: dict[str, StagedPart]) -> dict[str, StagedPart]:
        """Stage what is not ``done``; the documents of all parts of the run, by the keys of the parts.

        Raises:
            DataError: a part is not the audited one, has another header, or cannot be read to the last record.
            AccessError: memory or disk does not suffice. StoppedError: asked to stop; what is staged is kept.

        """
        put_or_agree(self.store, keys.contract(self.contract.hash), self.contract.to_bytes())
        todo = [part for part in self.parts.audits if part.key not in done]
        self.progress.start("stage", units=len(todo), rows=sum(part.records for part in todo))
        staged = dict(done)
        try:
            with ThreadPoolExecutor(self.engine.workers) as pool:
                waiting = [pool.submit(self._stage, batch) for batch in batches(todo, *self.engine.most)]
                try:
                    for one in waiting:
                        staged |= {document.part: document for document in one.result()}
                finally:
                    pool.shutdown(cancel_futures=True)
        finally:
            self.progress.stop()
        return staged

    def _read(self, key: str) -> StagedPart | None:
        return read(StagedPart, self.store, key)

    def _stage(self, batch: Sequence[CsvPartAudit]) -> list[StagedPart]:
        """One batch."""
        self.check_stop()
        with scratch_folder(self.store) as folder:
            made = self.engine.convert(self.parts, batch, folder)
            documents = in_parallel(self._publish, made)
        self.progress.advance(
            units=len(batch), rows=sum(part.records for part in batch), bytes_read=sum(part.bytes for part in batch)
        )
        return documents

    def _publish(self, made: Converted) -> StagedPart:
        audit, places = made.part.audit, self.keys(made.part.audit)
        quarantine = self._put(places.quarantine, made.quarantine)
        document = StagedPart(
            part=audit.key,
            part_sha256=audit.sha256,
            contract=self.contract.hash,
            records=audit.records,
            file=self._put(places.staged, made.file),
            quarantine=quarantine,
            drift=made.part.drift,
            staged_at=self.now(),
            software={"data_pipeline": __version__, **self.engine.software},
            **made.measures,
        )
        put = self.store.put_new(places.document, document.to_bytes())
        return document if put.created else self._read(places.document) or document

    def _put(self, key: str, path: Path | None) -> StoredFile | None:
        """What stands under ``key`` then; a process that died may have left the same records, of another DuckDB."""
        if path is None:
            return None
        size = path.stat().st_size
        put = self.store.put_new(key, path)
        there = None if put.created else self.store.head(key)
        return StoredFile(key=key, bytes=there.size if there else size, sha256=put.sha256)


def batches(parts: Iterable[CsvPartAudit], most_parts: int, most_bytes: int) -> Iterator[list[CsvPartAudit]]:
    """Parts in groups of at most so many parts and bytes, the largest parts first: they take longest."""
    batch: list[CsvPartAudit] = []
    for part in sorted(parts, key=lambda one: (-one.bytes, one.key)):
        if batch and (len(batch) == most_parts or sum(one.bytes for one in batch) + part.bytes > most_bytes):
            yield batch
            batch = []
        batch.append(part)
    if batch:
        yield batch


def totals_of(documents: Iterable[StagedPart]) -> dict[str, Any]:
    """What became of the records of several parts together, as facts have it."""
    documents = list(documents)
    new: dict[str, NewValues] = {}
    for one in (values for document in documents for values in document.new_values):
        seen = new.get(one.column, one.model_copy(update={"records": 0}))
        new[one.column] = NewValues(
            column=one.column,
            records=seen.records + one.records,
            least=min(seen.least, one.least),
            greatest=max(seen.greatest, one.greatest),
        )
    return {
        "parts": len(documents),
        "rows": sum(one.staged for one in documents),
        "quarantined": sum(one.quarantined for one in documents),
        "reasons": dict(sorted(sum((Counter(one.reasons) for one in documents), Counter[str]()).items())),
        "flags": dict(sorted(sum((Counter(one.flags) for one in documents), Counter[str]()).items())),
        "new_values": tuple(new[column] for column in sorted(new)),
        "drift": next((one.drift for one in documents if one.drift is not None), None),
        "bytes": sum(one.file.bytes for one in documents if one.file is not None),
    }
