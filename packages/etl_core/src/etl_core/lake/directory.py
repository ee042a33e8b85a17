"""A lake in a directory of one host."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from etl_core.errors import NotFoundError
from etl_core.files import sha256_of, sync_directory, translate_os_errors, write_synced
from etl_core.lake.port import Body, ObjectInfo, PutResult, checked_key, content_of
from etl_core.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_BYTES = 1024 * 1024
SCRATCH_NAME = ".scratch"
# A key without an object may be a folder of other keys, or lie below a file.
NO_OBJECT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class DirectoryStore:
    """Objects are files; creating is a hard link, which fails if the name is taken.

    Unfinished files live in ``<root>/.scratch`` (see ``files.Scratch``), on the same file
    system, so that publishing moves a name and no bytes.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._scratch = Scratch(self._root / SCRATCH_NAME)

    @property
    def url(self) -> str:
        return self._root.as_uri()

    def uri(self, key: str) -> str:
        return self._path(key).as_uri()

    @property
    def root(self) -> Path:
        """The directory."""
        return self._root

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        path = self._path(key)
        digest = sha256 or content_of(body)
        with translate_os_errors(f"write {path}"), contextlib.ExitStack() as stack:
            if isinstance(body, Path):
                stack.callback(body.unlink, missing_ok=True)
            if path.exists():
                return self._existing(path)
            if isinstance(body, Path):
                temporary = body
                with temporary.open("rb+") as stream:
                    os.fsync(stream.fileno())
            else:
                temporary = self._scratch.new()
                stack.callback(temporary.unlink, missing_ok=True)
                write_synced(temporary, body)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._link_new(temporary, path)
            except FileExistsError:
                return self._existing(path)
            sync_directory(path.parent)
        return PutResult(created=True, sha256=digest)

    def put(self, key: str, body: bytes) -> None:
        path = self._path(key)
        with translate_os_errors(f"write {path}"), contextlib.ExitStack() as stack:
            temporary = self._scratch.new()
            stack.callback(temporary.unlink, missing_ok=True)
            write_synced(temporary, body)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)
            sync_directory(path.parent)

    def get(self, key: str) -> bytes | None:
        path = self._path(key)
        with translate_os_errors(f"read {path}"):
            try:
                return path.read_bytes()
            except NO_OBJECT:
                return None

    def read(self, key: str) -> Iterator[bytes]:
        path = self._path(key)
        with translate_os_errors(f"read {path}"):
            try:
                stream = path.open("rb")
            except NO_OBJECT as error:
                raise NotFoundError(f"{path} does not exist") from error
        with stream:
            while chunk := stream.read(READ_BYTES):
                yield chunk

    def head(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        with translate_os_errors(f"read {path}"):
            try:
                return _info(key, path.stat()) if path.is_file() else None
            except (FileNotFoundError, NotADirectoryError):
                return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = self._root / prefix.rpartition("/")[0]
        with translate_os_errors(f"list {folder}"):
            found = sorted((path.relative_to(self._root).as_posix(), status) for path, status in _files_below(folder))
        for key, status in found:
            if key.startswith(prefix):
                yield _info(key, status)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with translate_os_errors(f"delete {path}"), contextlib.suppress(*NO_OBJECT):
            path.unlink()

    def scratch_file(self) -> Path:
        with translate_os_errors(f"make a file in {self._root}"):
            return self._scratch.new()

    def close(self) -> None:
        self._scratch.close()

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _existing(self, path: Path) -> PutResult:
        return PutResult(created=False, sha256=sha256_of(path))

    def _link_new(self, source: Path, target: Path) -> None:
        """Give ``source`` the name ``target`` if it is free, else raise ``FileExistsError``."""
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno == errno.EXDEV and source.parent != target.parent:
                # The source is on another file system: its bytes first, under a name that ``list`` leaves out.
                beside = target.with_name(f"{SCRATCH_NAME}-{uuid.uuid4().hex}")
                try:
                    _copy(source, beside)
                    self._link_new(beside, target)
                finally:
                    beside.unlink(missing_ok=True)
            elif error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                # Some network and desktop file systems have no hard links.
                self._rename_new(source, target)
            else:
                raise

    def _rename_new(self, source: Path, target: Path) -> None:
        """As ``_link_new`` without hard links: one writer at a time, under a lock."""
        with self._scratch.exclusive():
            if target.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
            source.replace(target)


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _files_below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Files and their status. Files removed meanwhile are left out; an unreadable folder is an error."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.name.startswith(SCRATCH_NAME):
            continue
        if entry.is_dir():
            yield from _files_below(Path(entry.path))
        elif entry.is_file():
            with contextlib.suppress(FileNotFoundError):
                yield Path(entry.path), entry.stat()


def _copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copyfile(source, target)
    with target.open("rb+") as stream:
        os.fsync(stream.fileno())
