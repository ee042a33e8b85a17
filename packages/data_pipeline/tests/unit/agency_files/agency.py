"""A database of an agency's files, and stores that refuse."""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from data_pipeline.agency_files.decide import ListedFile
from etl_core.errors import AccessError, UnavailableError
from etl_core.lake import ObjectInfo
from etl_core.testing import MemoryStore

AGENCY = 10
FOLDER = f"raw/agency_files/agency_id={AGENCY}/files/"
NOW = datetime(2026, 11, 29, 14, 15, tzinfo=UTC)


def a_file(file_id: object = 1, key: str = "docs/a.pdf", size: int | None = None, updated_at: datetime | None = None):
    return ListedFile(str(file_id), key, size, updated_at)


def make_database(path: Path, rows: Iterable[tuple[object, ...]] = ()) -> Path:
    """``rows`` are of agency, file, key, size, updated_at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE agency_files (agency_id INTEGER, file_id INTEGER PRIMARY KEY, key TEXT, size INTEGER,"
            " updated_at TIMESTAMP)"
        )
        connection.executemany("INSERT INTO agency_files VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    return path


class RefusingStore(MemoryStore):
    """``denied`` keys may not be read, ``broken`` ones cannot be; ``may_list`` is a right."""

    def __init__(self, *, denied: Iterable[str] = (), broken: Iterable[str] = (), may_list: bool = True) -> None:
        super().__init__(lambda: NOW)
        self.denied, self.broken, self.may_list = set(denied), set(broken), may_list
        self.asked: list[str] = []

    def list(self, prefix):
        self.asked.append(f"list {prefix}")
        if not self.may_list:
            raise AccessError("cannot list: AccessDenied.")
        return super().list(prefix)

    def head(self, key: str) -> ObjectInfo | None:
        self.asked.append(f"head {key}")
        self._check(key)
        found = super().head(key)
        if found is None and not self.may_list:
            raise AccessError(f"cannot read {key}: 403.")
        return found

    def read(self, key):
        self.asked.append(f"read {key}")
        self._check(key)
        return super().read(key)

    def _check(self, key: str) -> None:
        if key in self.denied:
            raise AccessError(f"cannot read {key}: AccessDenied.")
        if key in self.broken:
            raise UnavailableError(f"cannot read {key}: SlowDown.")
