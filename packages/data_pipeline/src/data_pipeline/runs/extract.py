"""An extract: a CSV file that a run makes of what it knows, proved like a part that was fetched."""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from data_pipeline import __version__, lake_layout
from data_pipeline.runs import commit
from data_pipeline.runs.documents import CsvPartAudit, RunManifest, RunPlan
from etl_core.csv_stream.dialect import write_fields
from etl_core.csv_stream.reader import RecordError, RecordReader
from etl_core.errors import ConflictError, DataError
from etl_core.files import translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from etl_core.csv_stream.layout import Layout
    from etl_core.lake import ObjectStore


class ExtractManifest(RunManifest):
    """The manifest of a run whose one part is an extract."""

    extract: CsvPartAudit


M = TypeVar("M", bound=ExtractManifest)


def publish_extract(
    store: ObjectStore,
    key_of: Callable[[str], str],
    layout: Layout,
    records: Iterable[Sequence[str]],
    *,
    now: Callable[[], datetime],
) -> CsvPartAudit:
    """Write records to the lake as they come, and give their audit; ``key_of`` says where, by their SHA-256.

    Raises:
        DataError: a value of the layout's key comes twice. ConflictError: there is another file under the key.

    """
    started_at, clock, reader, path = now(), time.monotonic(), RecordReader(layout), store.scratch_file()
    try:
        with translate_os_errors(f"write {path}"), path.open("wb") as stream:
            for fields in chain([layout.header], records):
                line = write_fields([one.encode() for one in fields]) + b"\n"
                reader.feed(line)
                stream.write(line)
        found = reader.finish()
        key = key_of(found.sha256)
        put = store.put_new(key, path, sha256=found.sha256)
    except RecordError as error:
        raise DataError(f"the extract cannot be read back: {error.detail}.") from error
    finally:
        path.unlink(missing_ok=True)
    if put.sha256 != found.sha256:
        raise ConflictError(f"{store.url}/{key} holds other content.", advice="Nothing was overwritten.")
    return CsvPartAudit(
        key=key,
        records=found.records,
        bytes=found.bytes,
        sha256=found.sha256,
        dialect=found.dialect,
        content_hash=found.content_hash,
        header_hash=found.header_hash,
        started_at=started_at,
        proved_at=now(),
        seconds=round(time.monotonic() - clock, 3),
        requests=0,
        retries=0,
        software={"data_pipeline": __version__},
    )


def commit_extract(
    store: ObjectStore,
    kind: type[M],
    plan: RunPlan,
    extract: CsvPartAudit,
    *,
    failed: int,
    finished_at: datetime,
    **more: Any,  # noqa: ANN401 - the fields of the domain
) -> M:
    """Commit a run whose one part is its extract, of which so many records are of what failed; what stands then."""
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
            "file_audits": 1,
            "file_audits_sha256": commit.digest_of(extract.to_bytes()),
            "created_at": plan.created_at,
            "finished_at": finished_at,
            "software": {"data_pipeline": __version__},
            "extract": extract,
            **more,
        }
    )
    return commit.commit(
        store, manifest, lambda one: {lake_layout.runs.file_audits(one.run_id): one.extract.to_bytes()}
    )
