"""An extract: a CSV file that a run makes of what it knows, proved like a part that was fetched."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from data_pipeline import __version__, lake_layout
from data_pipeline.runs import commit
from data_pipeline.runs.documents import CsvPartAudit, RunManifest, RunPlan
from etl_core.csv_stream.keys import KeySet
from etl_core.csv_stream.writer import RecordWriter
from etl_core.errors import ConflictError, DataError
from etl_core.files import translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from etl_core.csv_stream.reader import Summary
    from etl_core.lake import ObjectStore

SOFTWARE = {"data_pipeline": __version__}
M = TypeVar("M", bound=RunManifest)


class ExtractManifest(RunManifest):
    """The manifest of a run whose one part is an extract."""

    extract: CsvPartAudit


def audit_of(
    key: str, found: Summary, started_at: datetime, proved_at: datetime, seconds: float, *, requests: int, retries: int
) -> CsvPartAudit:
    """The proof of an extract that was written."""
    return CsvPartAudit(
        key=key, **asdict(found), started_at=started_at, proved_at=proved_at, seconds=round(seconds, 3),
        requests=requests, retries=retries, software=SOFTWARE,
    )  # fmt: skip


def publish_extract(
    store: ObjectStore,
    key_of: Callable[[str], str],
    header: Sequence[str],
    records: Iterable[Sequence[str]],
    *,
    id_column: str,
    now: Callable[[], datetime],
) -> CsvPartAudit:
    """Write records to the lake as they come, and give their audit; ``key_of`` says where, by their SHA-256.

    Raises:
        DataError: an id comes twice. ConflictError: there is another file under the key.

    """
    started_at, clock, ids, path = now(), time.monotonic(), KeySet(), store.scratch_file()
    place = header.index(id_column)
    try:
        with translate_os_errors(f"write {path}"), path.open("wb") as stream:
            writer = RecordWriter(stream, header)
            for record in records:
                fields = [one.encode() for one in record]
                ids.add(fields[place])
                writer.write(fields)
        if (repeated := ids.first_repeated()) is not None:
            raise DataError(f"{id_column} {repeated} occurs more than once.")
        found = writer.summary
        key = key_of(found.sha256)
        put = store.put_new(key, path, sha256=found.sha256)
    finally:
        path.unlink(missing_ok=True)
    if put.sha256 != found.sha256:
        raise ConflictError(f"{store.url}/{key} holds other content.", advice="Nothing was overwritten.")
    return audit_of(key, found, started_at, now(), time.monotonic() - clock, requests=0, retries=0)


def commit_extract(
    store: ObjectStore,
    kind: type[M],
    plan: RunPlan,
    extract: CsvPartAudit,
    files_of: Callable[[M], Mapping[str, bytes]],
    *,
    failed: int,
    finished_at: datetime,
    **more: Any,  # noqa: ANN401 - the fields of the domain
) -> M:
    """Commit a run whose one part is its extract; what stands then.

    ``failed`` are the units that failed: of the records, unless ``more`` gives other counts and another status.
    ``files_of`` gives the files beside the manifest.
    """
    there = extract.records - failed
    manifest = kind.model_validate(
        {
            "run_id": plan.run_id,
            "selection": plan.selection,
            "files_planned": extract.records,
            "files_downloaded": there,
            "files_failed": failed,
            "status": "completed" if not failed else "partial" if there else "failed",
            "rows": extract.records,
            "bytes": extract.bytes,
            "file_audits": 1,
            "file_audits_sha256": commit.digest_of(extract.to_bytes()),
            "created_at": plan.created_at,
            "finished_at": finished_at,
            "software": SOFTWARE,
            "extract": extract,
            **more,
        }
    )
    return commit.commit(store, manifest, files_of)


def audits_of(manifest: ExtractManifest) -> dict[str, bytes]:
    """The list of the run's one audit."""
    return {lake_layout.runs.file_audits(manifest.run_id): manifest.extract.to_bytes()}
