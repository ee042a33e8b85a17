"""Objects copied from one lake to another, create-only, what commits them last."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etl_core.errors import ConflictError, DataError, UsageError
from etl_core.files import translate_os_errors
from etl_core.lake import content_of, overlap
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from etl_core.documents import Document
    from etl_core.lake import ObjectStore

WORKERS = 8

_log = get_logger()


@dataclass(frozen=True)
class ToCopy:
    """One object; ``sha256`` and ``size`` where something names them, ``kind`` where it is a document."""

    key: str
    sha256: str | None = None
    size: int | None = None
    kind: type[Document] | None = None


@dataclass(frozen=True)
class Copied:
    """What was copied and what was there before."""

    files: int
    copied: int
    same: int
    bytes: int


@dataclass(frozen=True)
class Copying:
    """From one lake to another.

    Raises:
        UsageError: both are one lake, or one lies within the other.

    """

    here: ObjectStore
    there: ObjectStore
    overwrite: bool = False
    dry_run: bool = False
    on_file: Callable[[str], None] = lambda _line: None

    def __post_init__(self) -> None:
        if overlap(self.here, self.there):
            raise UsageError(
                f"{self.there.url} and {self.here.url} are the same lake, or one lies within the other.",
                advice="Name another lake to copy to.",
            )

    def run(self, steps: Sequence[Sequence[ToCopy]], prefixes: Iterable[str]) -> Copied:
        """Copy what is missing there, one step after the other: an interrupted copy has nothing that names what is
        not there. The last object of all is the commit; where it is, the rest was copied, and listings are compared,
        of ``prefixes``, below which everything lies.

        Raises:
            ConflictError: other content lies under a key there, and it is not to be overwritten; or an object here is
                not what names it says. DataError: a document here is damaged, or one of another place.

        """
        prefixes = list(prefixes)
        mine, present = (
            {entry.key: entry.size for prefix in prefixes for entry in store.list(prefix)}
            for store in (self.here, self.there)
        )
        wanted = [[replace(one, size=mine.get(one.key, one.size)) for one in step] for step in steps]
        last = wanted[-1][-1].key
        todo = wanted
        if last in present and not self.overwrite:
            self._must_be_the_same(last)
            todo = [missing(step, present) for step in wanted]
        count, left = sum(map(len, wanted)), sum(map(len, todo))
        if self.dry_run:
            for one in (one for step in todo for one in step):
                self.on_file(f"would copy  {one.key}")
            return Copied(count, 0, count - left, sum(one.size or 0 for step in todo for one in step))
        sizes: list[int] = []
        with ThreadPoolExecutor(WORKERS) as pool:
            for step in todo:
                sizes += pool.map(self._copy, step)
        copied = [size for size in sizes if size >= 0]
        return Copied(count, len(copied), count - len(copied), sum(copied))

    def _copy(self, one: ToCopy) -> int:
        """The size of what was written there, -1 if it was there."""
        copied, size = self._put(one)
        self.on_file(f"{'copied' if copied else 'same  '}  {one.key}")
        return size if copied else -1

    def _put(self, one: ToCopy) -> tuple[bool, int]:
        """Whether it was written there, and its size; what is there is replaced only if it differs, never removed."""
        path, sha256 = self._fetched(one)
        size = path.stat().st_size
        put = self.there.put_new(one.key, path, sha256=sha256)
        if put.created or put.sha256 == sha256:
            return put.created, size
        if not self.overwrite:
            raise ConflictError(
                f"{self.there.url}/{one.key} holds other content: there sha256 {put.sha256}, here {sha256}.",
                advice="Nothing was overwritten; --overwrite does.",
            )
        _log.warning("overwriting", key=one.key, lake=self.there.url, sha256=put.sha256)
        self.there.put(one.key, self._fetched(one)[0])
        return True, size

    def _fetched(self, one: ToCopy) -> tuple[Path, str]:
        """A scratch file of the other lake with the object's bytes, and their SHA-256."""
        path = self.there.scratch_file()
        try:
            with translate_os_errors(f"write {path}"), path.open("wb") as stream:
                for chunk in self.here.read(one.key):
                    stream.write(chunk)
            sha256 = content_of(path)
            if one.kind is not None and not one.kind.parse(path.read_bytes(), one.key).is_at(one.key):
                raise DataError(f"{self.here.url}/{one.key} is the {one.kind.__name__} of another place; not copied.")
            if one.sha256 is not None and sha256 != one.sha256:
                raise ConflictError(
                    f"{self.here.url}/{one.key} holds sha256 {sha256}, its audit says {one.sha256}; not copied."
                )
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path, sha256

    def _must_be_the_same(self, key: str) -> None:
        mine, theirs = (hashlib.sha256(store.get(key) or b"").hexdigest() for store in (self.here, self.there))
        if mine != theirs:
            raise ConflictError(
                f"{self.there.url}/{key} holds other content: there sha256 {theirs}, here {mine}.",
                advice="Nothing was overwritten; --overwrite does.",
            )


def missing(wanted: Iterable[ToCopy], there: dict[str, int]) -> list[ToCopy]:
    """What the other lake lacks or has in another size, by listings alone: nothing is asked key by key."""
    return [
        one for one in wanted if there.get(one.key) is None or (one.size is not None and there[one.key] != one.size)
    ]
