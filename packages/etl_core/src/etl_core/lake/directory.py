"""A lake in a directory of one host."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from etl_core.errors import AccessError, NotFoundError, PermanentError
from etl_core.files import Scratch, sha256_of, sync_directory, write_synced
from etl_core.lake.port import Body, ObjectInfo, PutResult, checked_key, content_of

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_BYTES = 1024 * 1024
SCRATCH_NAME = ".scratch"


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

    @property
    def root(self) -> Path:
        """The directory."""
        return self._root

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        path = self._path(key)
        digest, size = content_of(body, sha256)
        with _translated(f"write {path}"):
            if path.exists():
                return self._existing(path)
            if isinstance(body, Path):
                temporary = body
                with temporary.open("rb+") as stream:
                    os.fsync(stream.fileno())
            else:
                temporary = self._scratch.new()
                write_synced(temporary, body)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                _link_new(temporary, path)
            except FileExistsError:
                return self._existing(path)
            finally:
                temporary.unlink(missing_ok=True)
            sync_directory(path.parent)
        return PutResult(created=True, sha256=digest, size=size)

    def put(self, key: str, body: bytes) -> None:
        path = self._path(key)
        with _translated(f"write {path}"):
            temporary = self._scratch.new()
            write_synced(temporary, body)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)
            sync_directory(path.parent)

    def get(self, key: str) -> bytes | None:
        path = self._path(key)
        with _translated(f"read {path}"):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read(self, key: str) -> Iterator[bytes]:
        path = self._path(key)
        with _translated(f"read {path}"):
            try:
                stream = path.open("rb")
            except FileNotFoundError as error:
                raise NotFoundError(f"{path} does not exist") from error
        with stream:
            while chunk := stream.read(READ_BYTES):
                yield chunk

    def head(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        with _translated(f"look at {path}"):
            try:
                return ObjectInfo(key, path.stat().st_size) if path.is_file() else None
            except (FileNotFoundError, NotADirectoryError):
                return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = self._root / prefix.rpartition("/")[0]
        with _translated(f"list {folder}"):
            found = sorted(
                (path.relative_to(self._root).as_posix(), path.stat().st_size)
                for path in folder.rglob("*")
                if path.is_file() and SCRATCH_NAME not in path.parts
            )
        for key, size in found:
            if key.startswith(prefix):
                yield ObjectInfo(key, size)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _translated(f"delete {path}"):
            path.unlink(missing_ok=True)

    def scratch_file(self) -> Path:
        with _translated(f"make a file in {self._root}"):
            return self._scratch.new()

    def close(self) -> None:
        self._scratch.close()

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _existing(self, path: Path) -> PutResult:
        return PutResult(created=False, sha256=sha256_of(path), size=path.stat().st_size)


def _link_new(source: Path, target: Path) -> None:
    """Give ``source`` the name ``target`` if it is free, else raise ``FileExistsError``."""
    try:
        os.link(source, target)
    except OSError as error:
        # Some network and desktop file systems have no hard links: reserve the name instead.
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV):
            raise
        _rename_new(source, target)


def _rename_new(source: Path, target: Path) -> None:
    """As ``_link_new``, for file systems without hard links: the winner of a marker file renames."""
    marker = target.with_name(f".{target.name}.creating")
    with contextlib.ExitStack() as stack:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        stack.callback(marker.unlink, missing_ok=True)
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        beside = target.with_name(f".{uuid.uuid4().hex}")
        source.replace(beside) if source.parent == target.parent else _copy(source, beside)
        beside.replace(target)


def _copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copyfile(source, target)
    with target.open("rb+") as stream:
        os.fsync(stream.fileno())


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Turn an ``OSError`` into ours, with what was being done and what to try."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"cannot {doing}: {reason}."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise AccessError(
                message, advice="Free some space and run the same command again; work done is kept."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise AccessError(
                message, advice="Check who owns the lake (LAKE_URL) and whether it is mounted read-only."
            ) from error
        raise PermanentError(message) from error
