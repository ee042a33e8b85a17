"""A folder that only this user can enter, for files that processes share.

Its name may be known to everybody and its parent may be writable by everybody, as ``/tmp`` is. So it is
opened without following links, and used only if this user owns it and nobody else may enter it: then nobody
else can put a link or a file into it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import TYPE_CHECKING

from etl_core.errors import AccessError, PermanentError
from etl_core.files import translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# Opening a FIFO for reading waits for a writer, unless it may not block.
_NEVER_FOLLOW = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class PrivateFolder:
    """``base/name/name…``. Each ``name`` is a folder of this user and of mode 0700.

    What is missing is made, except for the parents of ``base``.
    """

    def __init__(self, base: Path, *names: str) -> None:
        self._base = base
        self._names = names

    @property
    def path(self) -> Path:
        """Where it is, for messages."""
        return self._base.joinpath(*self._names)

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the folder, which is made if it is missing.

        Raises:
            AccessError: it cannot be made, somebody else owns it, or others may enter it.

        """
        with translate_os_errors(f"use {self._base}"):
            descriptor = _open_base(self._base)
        try:
            path = self._base
            for name in self._names:
                path /= name
                with translate_os_errors(f"use {path}"):
                    above, descriptor = descriptor, _open_below(descriptor, name)
                    os.close(above)
                _require_private(path, os.fstat(descriptor))
            yield descriptor
        finally:
            os.close(descriptor)

    def open_file(self, name: str) -> int:
        """A descriptor of a file in it, for reading and writing; the file is created if it is missing."""
        path = self.path / name
        with self.opened() as folder, translate_os_errors(f"open {path}"):
            descriptor = os.open(name, os.O_CREAT | os.O_RDWR | _NEVER_FOLLOW, 0o600, dir_fd=folder)
        if _is_our_file(descriptor):
            return descriptor
        os.close(descriptor)
        raise AccessError(f"{path} is no file of this user.", advice="Remove it.")

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Wait until no other process has locked the file ``name``, and lock it."""
        descriptor = self.open_file(name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read(self, name: str, *, limit: int) -> bytes | None:
        """The bytes of a file; None if there is no file of this user of this name, or it has more than ``limit``."""
        with self.opened() as folder:
            try:
                descriptor = os.open(name, os.O_RDONLY | _NEVER_FOLLOW, dir_fd=folder)
            except OSError:
                return None
        try:
            body = os.read(descriptor, limit + 1) if _is_our_file(descriptor) else None
        finally:
            os.close(descriptor)
        return body if body is not None and len(body) <= limit else None

    def replace(self, name: str, body: bytes) -> None:
        """Give a file new content, atomically; its writers must exclude each other."""
        beside = f"{name}.new"
        with self.opened() as folder, translate_os_errors(f"write {self.path / name}"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=folder)
            descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NEVER_FOLLOW, 0o600, dir_fd=folder)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(body)
            os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)


def first_usable(folders: Sequence[PrivateFolder], *, advice: str) -> PrivateFolder:
    """The first of ``folders`` that can be used; raises ``AccessError`` with what is wrong with each."""
    found = []
    for folder in folders:
        try:
            with folder.opened():
                return folder
        except PermanentError as error:
            found.append(error.args[0])
    raise AccessError(" ".join(found) or "there is no folder of this user.", advice=advice)


def require_private(path: Path) -> None:
    """Make the folder ``path`` if it is missing.

    Raises:
        AccessError: it cannot be made, somebody else owns it, or others may enter it.

    """
    with PrivateFolder(path.parent, path.name).opened():
        pass


def _open_base(base: Path) -> int:
    with contextlib.suppress(FileExistsError):
        base.mkdir(mode=0o700)
    # A user may link the cache folder to another disk; a link that somebody else made is not followed.
    status = base.lstat()
    if stat.S_ISLNK(status.st_mode) and status.st_uid not in (0, os.getuid()):
        raise AccessError(f"{base} is a link that another user made (uid {status.st_uid}).")
    return os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _open_below(above: int, name: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | _NEVER_FOLLOW, dir_fd=above)


def _is_our_file(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()


def _require_private(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.getuid():
        raise AccessError(f"{path} belongs to another user (uid {status.st_uid}).")
    if status.st_mode & 0o077:
        raise AccessError(f"other users may enter {path} ({stat.filemode(status.st_mode)}); chmod 700 closes it.")
