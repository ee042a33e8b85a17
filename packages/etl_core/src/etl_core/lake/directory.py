"""A lake in a directory of one host."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from etl_core.errors import NotFoundError
from etl_core.files import Scratch, sha256_of, translate_os_errors
from etl_core.lake.port import Body, ObjectInfo, PutResult, checked_key, content_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READ_BYTES = 1024 * 1024
SCRATCH_NAME = ".scratch"
# A key without an object may be a folder of other keys, or lie below a file.
NO_OBJECT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class DirectoryStore:
    """Objects are files; creating is a hard link, which fails if the name is taken.

    Unfinished files live in ``<root>/.scratch`` (see ``files.Scratch``), on the same file
    system, so that publishing moves a name and no bytes.
    """

    def __init__(self, root: Path, *, fsync: Callable[[int], None] = os.fsync) -> None:
        self._root = root.absolute()
        self._fsync = fsync
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
            temporary = self._synced(body, stack)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._link_new(temporary, path)
            except FileExistsError:
                return self._existing(path)
            self._sync(path.parent)
        return PutResult(created=True, sha256=digest)

    def put(self, key: str, body: Body) -> None:
        path = self._path(key)
        with translate_os_errors(f"write {path}"), contextlib.ExitStack() as stack:
            temporary = self._synced(body, stack)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)
            self._sync(path.parent)

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
        folder, slash, name = prefix.rpartition("/")
        with translate_os_errors(f"list {self._root / folder}"):
            for path in _files_below(self._root / folder, name):
                with contextlib.suppress(*NO_OBJECT):
                    yield _info(folder + slash + path, (self._root / folder / path).stat())

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

    def _synced(self, body: Body, stack: contextlib.ExitStack) -> Path:
        """The body as a file that is on the disk; the caller's own, or one that goes with the stack."""
        if isinstance(body, Path):
            temporary = body
        else:
            temporary = self._scratch.new()
            stack.callback(temporary.unlink, missing_ok=True)
            temporary.write_bytes(body)
        self._sync(temporary)
        return temporary

    def _existing(self, path: Path) -> PutResult:
        return PutResult(created=False, sha256=sha256_of(path))

    def _sync(self, path: Path) -> None:
        """Make the bytes of a file, or the names in a folder, survive a power cut."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self._fsync(descriptor)
        finally:
            os.close(descriptor)

    def _link_new(self, source: Path, target: Path) -> None:
        """Give ``source`` the name ``target`` if it is free, else raise ``FileExistsError``."""
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno == errno.EXDEV and source.parent != target.parent:
                # The source is on another file system: its bytes first, under a name that ``list`` leaves out.
                beside = target.with_name(f"{SCRATCH_NAME}-{uuid.uuid4().hex}")
                try:
                    shutil.copyfile(source, beside)
                    self._sync(beside)
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


def _files_below(folder: Path, start: str = "") -> Iterator[str]:
    """Files in the order of keys, read folder by folder as they are asked for; the first name begins with ``start``.

    A folder that is removed meanwhile has none; one that cannot be read is an error.
    """
    try:
        with os.scandir(folder) as found:
            # As in keys: "a-b" comes before "a/b".
            names = sorted(entry.name + "/" * entry.is_dir() for entry in found if entry.name.startswith(start))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name.startswith(SCRATCH_NAME):
            continue
        if name.endswith("/"):
            yield from (name + below for below in _files_below(folder / name))
        else:
            yield name
