"""Where a listed file goes, what becomes of it, and how a run ends. Pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from etl_core.errors import AccessError, ChangedError, DataError, NotFoundError, PipelineError, TemporaryError
from etl_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

Status = Literal[
    "to copy", "copied", "already there", "changed at source", "missing", "denied", "missing or denied",
    "refused name", "failed",
]  # fmt: skip
SUCCESSFUL: frozenset[Status] = frozenset({"to copy", "copied", "already there"})


class Seen(Protocol):
    """What is decided by of an object; ``etl_core.lake.ObjectInfo`` has it."""

    @property
    def size(self) -> int: ...
    @property
    def modified(self) -> datetime: ...
    @property
    def etag(self) -> str: ...
    @property
    def digest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A row of the database. Its key is what somebody wrote into a table, and no name to trust."""

    file_id: str
    key: str
    size: int | None
    updated_at: datetime | None


@dataclass(frozen=True)
class Outcome:
    """What became of a file; ``source`` and ``copy`` as far as they were seen."""

    file: ListedFile
    key: str
    status: Status
    detail: str = ""
    temporary: bool = False
    source: Seen | None = None
    copy: Seen | None = None
    proof: str = ""

    @property
    def is_successful(self) -> bool:
        """Whether the copy is there, or would be."""
        return self.status in SUCCESSFUL


def at_sight(files: Iterable[ListedFile], key_of: Callable[[str], str], there: Mapping[str, Seen]) -> Iterator[Outcome]:
    """What is known of each file before its source is looked at. ``key_of`` gives the key of a copy, ``there`` are the
    copies by key. Of two names with one key, the first one listed has the place.
    """
    names: dict[str, str] = {}
    for file in files:
        try:
            key = key_of(file.key)
        except DataError as error:
            yield Outcome(file, "", "refused name", str(error))
            continue
        other, copy = names.setdefault(key, file.key), there.get(key)
        if other != file.key:
            yield Outcome(file, "", "refused name", f"it has the place of {other!a}")
        elif copy is not None and is_current(file, copy):
            yield Outcome(file, key, "already there", copy=copy)
        else:
            yield Outcome(file, key, "to copy")


def is_current(file: ListedFile, copy: Seen) -> bool:
    """Whether the list gives no reason to look at a file's source again: its copy has the size, and is newer."""
    return file.size in (None, copy.size) and (file.updated_at is None or file.updated_at <= copy.modified)


def beside(outcome: Outcome, source: Seen, copy: Seen, comparison: str) -> Outcome:
    """A file whose copy was there before; ``comparison`` says whether they have one ``content``, or one ``size``."""
    seen = replace(outcome, source=source, copy=copy, proof=comparison)
    if comparison == "content" or (comparison == "size" and source.modified <= copy.modified):
        return replace(seen, status="already there")
    if source.modified > copy.modified:
        return replace(seen, status="changed at source", detail="it is newer than its copy, which was kept")
    return replace(seen, status="failed", detail="the lake has another file under the key, which was kept")


def copied(outcome: Outcome, source: Seen, copy: Seen, comparison: str) -> Outcome:
    """A file that was copied now."""
    seen = replace(outcome, source=source, copy=copy, proof=comparison)
    if comparison == "other":
        return replace(seen, status="failed", detail="the copy is not what its source is: remove it, and try again")
    return replace(seen, status="copied")


def verified(outcome: Outcome, listed: Seen | None) -> Outcome:
    """The same file, by what the lake lists at the end."""
    if outcome.status != "copied" or outcome.copy is None or (listed and listed.size == outcome.copy.size):
        return outcome
    found = "nothing" if listed is None else f"{listed.size:,} bytes"
    return replace(outcome, status="failed", detail=f"the lake lists {found} under the key of the copy")


def failed(outcome: Outcome, error: PipelineError, *, may_list: bool) -> Outcome:
    """A file that an error was about. Without the right to list, S3 says of a missing object that it is denied."""
    status: Status = "failed"
    if isinstance(error, NotFoundError):
        status = "missing"
    elif isinstance(error, AccessError):
        status = "denied" if may_list else "missing or denied"
    elif isinstance(error, ChangedError):
        status = "changed at source"
    return replace(outcome, status=status, detail=printable(error), temporary=isinstance(error, TemporaryError))


def list_digest(files: Iterable[ListedFile]) -> str:
    """SHA-256 of what a database listed."""
    digest = hashlib.sha256()
    for one in files:
        said = one.file_id, one.key, one.size, one.updated_at and one.updated_at.isoformat()
        digest.update(json.dumps(said).encode())
    return digest.hexdigest()


def counts_of(outcomes: Iterable[Outcome]) -> dict[Status, int]:
    """Files by status."""
    return dict(sorted(Counter(one.status for one in outcomes).items()))


COLUMNS = (
    "agency_id", "file_id", "status", "key", "size", "proof", "etag", "digest", "source", "source_key",
    "source_modified", "listed_size", "updated_at", "detail",
)  # fmt: skip


def record_of(outcome: Outcome, said: Mapping[str, str]) -> list[str]:
    """A file in the metadata, as texts in the order of ``COLUMNS``; ``said`` is the same of all files."""
    file, seen = outcome.file, outcome.copy or outcome.source
    modified = outcome.source.modified if outcome.source else None
    texts = {
        **said,
        "file_id": file.file_id,
        "status": outcome.status,
        "key": outcome.key,
        "size": "" if seen is None else str(seen.size),
        "proof": outcome.proof,
        "etag": seen.etag.strip('"') if seen else "",
        "digest": seen.digest if seen else "",
        "source_key": file.key,
        "source_modified": "" if modified is None else modified.isoformat(),
        "listed_size": "" if file.size is None else str(file.size),
        "updated_at": "" if file.updated_at is None else file.updated_at.isoformat(),
        "detail": outcome.detail,
    }
    return [texts[column] for column in COLUMNS]
