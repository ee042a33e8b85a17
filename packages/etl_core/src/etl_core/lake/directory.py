"""A lake in a directory of one host."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from etl_core.errors import NotFoundError
from etl_core.files import translate_os_errors
from etl_core.lake.junk import is_junk
from etl_core.lake.places import Place, not_an_object, open_folder
from etl_core.lake.port import Body, ObjectInfo, PutResult, checked_key, content_of
from etl_core.lake.resumed import resumed
from etl_core.retry import Retry, RetryPolicy
from etl_core.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from io import BufferedReader

READ_BYTES = 1024 * 1024
SCRATCH_NAME = ".scratch"
# A folder that cannot be synced, as on some network and desktop file systems; its files are.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})
# How file systems without hard links refuse one. A process that may not write at all is refused the rename, too.
_NO_LINKS = frozenset({
    errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EIO, errno.EACCES, errno.EINVAL, errno.EXDEV,
})  # fmt: skip
# A network file system fails for a moment, and works when it is asked again.
POLICY = RetryPolicy(attempts=5, first_wait_seconds=0.1, longest_wait_seconds=2)
# A key without an object may be a folder of other keys, or lie below a file.
NO_OBJECT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class DirectoryStore:
    """Objects are files; creating is a hard link, which fails if the name is taken.

    Unfinished files live in ``<root>/.scratch`` (see ``files.Scratch``), on the same file
    system, so that publishing moves a name and no bytes. No link below the root is followed (see ``places``):
    ``list`` names it as an object, ``delete`` removes it, and what reads or writes it raises ``DataError``.
    """

    def __init__(
        self,
        root: Path,
        *,
        fsync: Callable[[int], None] = os.fsync,
        open_place: Callable[[Place], BufferedReader | None] = Place.open,
        link: Callable[..., None] = os.link,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._root = root.absolute()
        self._fsync = fsync
        self._open = open_place
        self._link = link
        self._retry = Retry(POLICY, sleep=sleep)
        self._scratch = Scratch(self._root / SCRATCH_NAME)

    @property
    def url(self) -> str:
        return self._root.as_uri()

    def uri(self, key: str) -> str:
        return self._path(key).as_uri()

    def local_path(self, key: str) -> Path:
        self.head(key)
        return self._path(key)

    @property
    def root(self) -> Path:
        """The directory."""
        return self._root

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        digest = sha256 or content_of(body)
        with translate_os_errors(f"write {self._path(key)}"), contextlib.ExitStack() as stack:
            if isinstance(body, Path):
                stack.callback(body.unlink, missing_ok=True)
            place = stack.enter_context(self._place(key, create=True))
            existing = _sha256_at(place)
            if existing is None:
                source = self._synced(body, stack)
                while existing is None:  # again where it was deleted between the two looks
                    try:
                        self._link_new(source, place)
                    except FileExistsError:
                        existing = _sha256_at(place)
                    else:
                        self._sync_folder(place.folder)
                        return PutResult(created=True, sha256=digest)
        return PutResult(created=False, sha256=existing)

    def put(self, key: str, body: Body) -> None:
        with translate_os_errors(f"write {self._path(key)}"), contextlib.ExitStack() as stack:
            if isinstance(body, Path):
                stack.callback(body.unlink, missing_ok=True)
            place = stack.enter_context(self._place(key, create=True))
            source = self._synced(body, stack)
            try:
                os.replace(source, place.name, dst_dir_fd=place.folder)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                with self._copied_beside(source, place) as beside:
                    os.replace(beside, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
            self._sync_folder(place.folder)

    def get(self, key: str) -> bytes | None:
        try:
            return b"".join(self.read(key))
        except NotFoundError:
            return None

    def read(self, key: str) -> Iterator[bytes]:
        return resumed(lambda offset: self._read_from(offset, key), self._retry)

    def head(self, key: str) -> ObjectInfo | None:
        status = self._retry.call(lambda _attempt: self._status(key))
        return None if status is None else _info(key, status)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder, slash, start = prefix.rpartition("/")
        names = checked_key(folder).split("/") if folder else []
        with (
            translate_os_errors(f"list {self._root / folder}"),
            contextlib.suppress(*NO_OBJECT),
            open_folder(self._root, names) as descriptor,
        ):
            yield from _below(descriptor, folder + slash, start)

    def delete(self, key: str) -> None:
        with (
            translate_os_errors(f"delete {self._path(key)}"),
            contextlib.suppress(*NO_OBJECT),
            self._place(key) as place,
        ):
            os.unlink(place.name, dir_fd=place.folder)

    def scratch_file(self) -> Path:
        with translate_os_errors(f"make a file in {self._root}"):
            return self._scratch.new()

    def close(self) -> None:
        self._scratch.close()

    def _status(self, key: str) -> os.stat_result | None:
        with translate_os_errors(f"read {self._path(key)}"):
            try:
                with self._place(key) as place:
                    return place.status()
            except IsADirectoryError as error:
                raise not_an_object(self._path(key), "a folder") from error
            except NO_OBJECT:
                return None

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    @contextlib.contextmanager
    def _place(self, key: str, *, create: bool = False) -> Iterator[Place]:
        *folders, name = checked_key(key).split("/")
        with open_folder(self._root, folders, create=create) as folder:
            yield Place(folder, name, self._path(key))

    def _read_from(self, offset: int, key: str) -> Generator[bytes]:
        path = self._path(key)
        with translate_os_errors(f"read {path}"), contextlib.ExitStack() as stack:
            stream = None
            with contextlib.suppress(*NO_OBJECT):
                stream = self._open(stack.enter_context(self._place(key)))
            if stream is None:
                raise NotFoundError(f"{path} does not exist")
            stack.enter_context(stream)
            stream.seek(offset)
            while chunk := stream.read(READ_BYTES):
                yield chunk

    def _sync_folder(self, folder: int) -> None:
        try:
            self._fsync(folder)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise

    def _synced(self, body: Body, stack: contextlib.ExitStack) -> Path:
        """The body as a file whose bytes are on disk."""
        if isinstance(body, Path):
            path = body
        else:
            path = self._scratch.new()
            stack.callback(path.unlink, missing_ok=True)
            path.write_bytes(body)
        with path.open("rb") as stream:
            self._fsync(stream.fileno())
        return path

    def _link_new(self, source: Path | str, target: Place, *, source_folder: int | None = None) -> None:
        """Give ``source`` the name of ``target`` if it is free, else raise ``FileExistsError``."""
        try:
            self._link(source, target.name, src_dir_fd=source_folder, dst_dir_fd=target.folder)
        except OSError as error:
            if error.errno == errno.EXDEV and isinstance(source, Path):
                # The source is on another file system: its bytes first.
                with self._copied_beside(source, target) as beside:
                    self._link_new(beside, target, source_folder=target.folder)
            elif error.errno in _NO_LINKS:
                self._rename_new(source, target, source_folder)
            else:
                raise

    def _rename_new(self, source: Path | str, target: Place, source_folder: int | None) -> None:
        """As ``_link_new`` without hard links: one writer at a time, under a lock."""
        with self._scratch.exclusive():
            if target.status() is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target.path))
            os.replace(source, target.name, src_dir_fd=source_folder, dst_dir_fd=target.folder)

    @contextlib.contextmanager
    def _copied_beside(self, source: Path, target: Place) -> Iterator[str]:
        """The name of a copy of ``source`` in the folder of ``target``, a name that ``list`` leaves out."""
        name = f"{SCRATCH_NAME}-{uuid.uuid4().hex}"
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=target.folder)
        try:
            with os.fdopen(descriptor, "wb") as stream, source.open("rb") as content:
                shutil.copyfileobj(content, stream, READ_BYTES)
                stream.flush()
                self._fsync(stream.fileno())
            yield name
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=target.folder)


def _sha256_at(place: Place) -> str | None:
    stream = place.open()
    if stream is None:
        return None
    with stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _below(folder: int, prefix: str, start: str = "") -> Iterator[ObjectInfo]:
    """What lies below a folder, in the order of keys, read as it is asked for; the first name begins with ``start``.

    What is removed meanwhile is left out; a folder that cannot be read is an error.
    """
    with os.scandir(folder) as found:
        # As in keys: "a-b" comes before "a/b".
        names = sorted(
            entry.name + "/" * entry.is_dir(follow_symlinks=False)
            for entry in found
            if entry.name.startswith(start) and not entry.name.startswith(SCRATCH_NAME) and not is_junk(entry.name)
        )
    for name in names:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if name.endswith("/"):
                inner = os.open(name[:-1], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                try:
                    yield from _below(inner, prefix + name)
                finally:
                    os.close(inner)
            else:
                yield _info(prefix + name, os.stat(name, dir_fd=folder, follow_symlinks=False))
