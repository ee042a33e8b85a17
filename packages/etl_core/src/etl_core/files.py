<<<<<<< HEAD
"""Durable files, and errors of the file system."""
=======
"""Hashes of files, and errors of the file system."""
>>>>>>> main

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from typing import TYPE_CHECKING

from etl_core.errors import AccessError, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ_BYTES = 1024 * 1024
PERMISSION_ADVICE = (
    "Check who owns it, and whether it is mounted read-only. In a container, mount a folder (-v FOLDER:PATH) and run "
    'as its owner: --user "$(id -u):$(id -g)", in Kubernetes fsGroup.'
)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as lower-case hex, read in 1 MiB pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


<<<<<<< HEAD
def sync_directory(path: Path) -> None:
    """Make a new name in ``path`` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, body: bytes) -> None:
    """Write ``body`` to ``path`` and force it to disk; the name itself is not yet durable."""
    with path.open("wb") as stream:
        stream.write(body)
        stream.flush()
        os.fsync(stream.fileno())
=======
class Scratch:
    """A process's own folder for unfinished files, below ``parent``.

    Each process holds a lock on its folder; the next process to start or close removes folders that
    nobody locks. So a killed process leaves its files behind only until then.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
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
        """Hold the lock of all scratch folders below ``parent``, against other threads and processes."""
        return _exclusive_lock(self._parent / "lock")

    def new(self) -> Path:
        """An unused path in the folder; no file is created."""
        return self.folder / uuid.uuid4().hex

    def close(self) -> None:
        """Remove the folder and orphaned ones, and the parent if it is then empty.

        A process that only read does so too: the next one may not write either.
        """
        if not self._parent.is_dir():
            return
        with contextlib.suppress(OSError), self.exclusive():
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
            if not entry.is_dir():
                continue
            lock = entry / "lock"
            try:
                with lock.open("rb") as stream:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its owner is alive
            except FileNotFoundError:
                pass  # killed between mkdir and lock
            shutil.rmtree(entry, ignore_errors=True)
>>>>>>> main


@contextlib.contextmanager
def translate_os_errors(doing: str) -> Iterator[None]:
    """Raise ``AccessError`` or ``PermanentError`` in place of an ``OSError``: "cannot <doing>: …"."""
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
            raise AccessError(message, advice=PERMISSION_ADVICE) from error
        raise PermanentError(message) from error
