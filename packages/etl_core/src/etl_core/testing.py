"""Small real implementations of the ports, for tests: they pass the ports' own suites."""

from __future__ import annotations

import itertools
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from etl_core.errors import NotFoundError
from etl_core.lake.port import Body, ObjectInfo, PutResult, checked_key, content_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class MemoryStore:
    """An ``ObjectStore`` in memory; two of one ``name`` are one lake. ``writes`` lists keys in order of writing."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC), *, name: str = "") -> None:
        self._now = now
        self._name = name
        self._objects: dict[str, bytes] = {}
        self._modified: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.writes: list[str] = []

    @property
    def url(self) -> str:
        return f"memory://{self._name}"

    def uri(self, key: str) -> str:
        return f"{self.url}{self._name and '/'}{checked_key(key)}"

    def local_path(self, key: str) -> None:
        checked_key(key)

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        digest = sha256 or content_of(body)
        raw = body.read_bytes() if isinstance(body, Path) else body
        with self._lock:
            existing = self._objects.get(checked_key(key))
            if existing is None:
                self._objects[key] = raw
                self._modified[key] = self._now()
                self.writes.append(key)
        if isinstance(body, Path):
            body.unlink()
        if existing is not None:
            return PutResult(created=False, sha256=content_of(existing))
        return PutResult(created=True, sha256=digest)

    def put(self, key: str, body: Body) -> None:
        raw = body.read_bytes() if isinstance(body, Path) else body
        with self._lock:
            self._objects[checked_key(key)] = raw
            self._modified[key] = self._now()
            self.writes.append(key)
        if isinstance(body, Path):
            body.unlink()

    def get(self, key: str) -> bytes | None:
        return self._objects.get(checked_key(key))

    def read(self, key: str) -> Iterator[bytes]:
        body = self.get(key)
        if body is None:
            raise NotFoundError(f"{self.url}{key} does not exist")
        yield body

    def head(self, key: str) -> ObjectInfo | None:
        body = self.get(key)
        return None if body is None else ObjectInfo(key, len(body), self._modified[key])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self._lock:
            found = [ObjectInfo(key, len(body), self._modified[key]) for key, body in sorted(self._objects.items())]
        yield from (entry for entry in found if entry.key.startswith(prefix))

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(checked_key(key), None)

    def scratch_file(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory()
            return Path(self._folder.name) / str(next(self._numbers))

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


class ManualClock:
    """A clock that moves when told, and by every sleep; ``slept`` lists the sleeps in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Do not wait; note it and move on."""
        self.slept.append(seconds)
        self.now += seconds
