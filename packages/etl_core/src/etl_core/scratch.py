"""A folder for unfinished files, which the next process removes if its own was killed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from etl_core.errors import AccessError, PermanentError
from etl_core.private_folder import require_private

if TYPE_CHECKING:
    from collections.abc import Iterator

# A lock file may be removed between opening and locking it when other processes end, but never this often.
MAX_LOCK_ATTEMPTS = 1000


class Scratch:
    """A process's own folder for unfinished files, below ``parent``.

    Each process holds a lock on its folder; the next process to start or close removes folders that
    nobody locks. So a killed process leaves its files behind only until then. One that ``is_private``, as in a folder
    for temporary files that all users share, is used only if nobody else can enter it.
    """

    def __init__(self, parent: Path, *, is_private: bool = False) -> None:
        self._parent = parent
        self._is_private = is_private
        self._folder: Path | None = None
        self._lock: BinaryIO | None = None
        # Two threads at first use must not make two folders: one lock would be lost and its folder removed.
        self._making = threading.Lock()

    @property
    def folder(self) -> Path:
        """The folder; made at first use, when orphaned folders are removed."""
        with self._making:
            if self._folder is None:
                with self.exclusive():
                    self._sweep()
                    folder = self._parent / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
                    folder.mkdir()
                    self._lock = (folder / "lock").open("wb")
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._folder = folder
            return self._folder

    def exclusive(self) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of all scratch folders below ``parent``, against other threads and processes.

        Raises:
            AccessError: ``parent`` is a link: folders of somebody else would be swept behind it. Or it is to be
                private, and another user owns it or may enter it.

        """
        if self._parent.is_symlink():
            raise AccessError(
                f"{self._parent} is a link, and unfinished files are kept in no folder behind one.",
                advice="Remove the link.",
            )
        if self._is_private:
            require_private(self._parent)
        return _exclusive_lock(self._parent / "lock", mode=0o700 if self._is_private else 0o777)

    def new(self) -> Path:
        """An unused path in the folder; no file is created."""
        return self.folder / uuid.uuid4().hex

    def close(self) -> None:
        """Remove the folder and orphaned ones, and the parent if it is then empty.

        A process that only read does so too: the next one may not write either.
        """
        if self._parent.is_symlink() or not self._parent.is_dir():
            return
        with contextlib.suppress(OSError, PermanentError), self.exclusive():
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._sweep()
            if [entry.name for entry in self._parent.iterdir()] == ["lock"]:
                (self._parent / "lock").unlink()
                self._parent.rmdir()
        if self._lock is not None:
            self._lock.close()
        self._folder = self._lock = None

    def _sweep(self) -> None:
        for entry in self._parent.iterdir():
            if entry.is_symlink() or not entry.is_dir():
                continue
            lock = entry / "lock"
            try:
                with _opened(lock, os.O_RDONLY) as stream:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its owner is alive
            except OSError as error:
                # Killed between mkdir and lock, or no lock of ours but a link.
                if error.errno not in (errno.ENOENT, errno.ELOOP):
                    raise
            shutil.rmtree(entry, ignore_errors=True)


@contextlib.contextmanager
def _exclusive_lock(path: Path, *, mode: int) -> Iterator[None]:
    """Hold an exclusive lock on ``path``, which a former holder may have removed with its folder of ``mode``."""
    for attempts_left in reversed(range(MAX_LOCK_ATTEMPTS)):
        try:
            path.parent.mkdir(mode=mode, parents=True, exist_ok=True)
            stream = _opened(path, os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:
            if not attempts_left:
                raise  # a place where no folder can be made, such as /proc
            continue  # the folder was removed between the two lines
        except FileExistsError:
            # The folder was removed within mkdir, or a file has its name.
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISDIR(path.parent.lstat().st_mode):
                    raise
            continue
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            try:
                same = path.stat().st_ino == os.fstat(stream.fileno()).st_ino
            except FileNotFoundError:
                same = False
            if same:
                yield
                return


def _opened(path: Path, flags: int) -> BinaryIO:
    """A file that is no link and no FIFO, which would be waited for."""
    return os.fdopen(os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666), "rb")
