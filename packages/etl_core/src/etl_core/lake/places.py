"""Where an object lies in a folder, reached from the folder's root without following a link.

A link in a lake may lead anywhere: to another user's files, or to a device that never ends. So each folder on
the way is opened from the one before it, which the system refuses for a link, and the object itself is opened
by its name in the last one. The root itself may be a link: where a lake is, its user says.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from etl_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import BufferedReader

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
# A named pipe without a writer would block an open for reading.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True)
class Place:
    """A name in an open folder; ``path`` is for messages only."""

    folder: int
    name: str
    path: Path

    def status(self) -> os.stat_result | None:
        """The status of the regular file that has the name; None if there is none.

        Raises:
            DataError: a link, device or pipe has the name. IsADirectoryError: a folder has.

        """
        try:
            found = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return self._of_regular_file(found)

    def open(self) -> BufferedReader | None:
        """The file for reading; None if there is none. Raises as ``status``."""
        if self.status() is None:
            return None
        try:
            stream = os.fdopen(os.open(self.name, _FILE, dir_fd=self.folder), "rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:  # it became a link since
                raise not_an_object(self.path, "a link") from error
            raise
        with contextlib.ExitStack() as undo:
            undo.callback(stream.close)
            self._of_regular_file(os.fstat(stream.fileno()))
            undo.pop_all()
        return stream

    def _of_regular_file(self, found: os.stat_result) -> os.stat_result:
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self.path))
        if not stat.S_ISREG(found.st_mode):
            raise not_an_object(self.path, "a link" if stat.S_ISLNK(found.st_mode) else "no regular file")
        return found


@contextlib.contextmanager
def open_folder(root: Path, names: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """A descriptor of the folder below ``root`` that ``names`` lead to; ``create`` makes those that are missing.

    Raises:
        DataError: one of them is a link. FileNotFoundError, NotADirectoryError, PermissionError.

    """
    if create:
        root.mkdir(parents=True, exist_ok=True)
    descriptor, path = os.open(root, _FOLDER), root
    try:
        for name in names:
            path /= name
            inner = _open_inner(descriptor, name, path, create=create)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _open_inner(folder: int, name: str, path: Path, *, create: bool) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(folder, name):
            raise not_an_object(path, "a link") from error
        raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)
    return _open_inner(folder, name, path, create=False)


def _is_link(folder: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def not_an_object(path: Path, what: str) -> DataError:
    """The error where something else has the place of an object."""
    return DataError(
        f"{path} is {what}, and a lake follows and reads none.",
        advice="Move it away, or put in its place what it stands for; a folder on another disk is mounted there.",
    )
