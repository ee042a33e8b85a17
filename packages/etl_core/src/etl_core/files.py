"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from etl_core.errors import AccessError, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

READ_BYTES = 1024 * 1024
# A lock file that goes away again and again does so because others come and go, never this often.
MOST_TRIES = 1000
# Docker puts the first into a container, Podman the second into most, docker/data-pipeline.Dockerfile the third.
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"), Path("/etc/container-image"))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as lower-case hex, read in 1 MiB pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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


class Scratch:
    """A process's own folder for unfinished files, below ``parent``.

    Each process holds a lock on its folder, so that the next one to start can tell the
    folders of dead processes from those of living ones and remove the former: a killed
    process leaves nothing behind for longer than until the next start.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._folder: Path | None = None
        self._lock: BinaryIO | None = None
        # Two threads at first use must not make two folders: the lock of one would be lost, its files swept.
        self._making = threading.Lock()

    @property
    def folder(self) -> Path:
        """The folder, made (and the dead swept) at first use."""
        with self._making:
            if self._folder is None:
                with self.alone():
                    self._sweep()
                    folder = self._parent / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
                    folder.mkdir()
                    self._lock = (folder / "lock").open("wb")
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._folder = folder
            return self._folder

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of all scratch folders below ``parent``, against other threads and processes."""
        return _exclusively(self._parent / "lock")

    def new(self) -> Path:
        """A fresh path below the folder; nothing is created."""
        return self.folder / uuid.uuid4().hex

    def close(self) -> None:
        """Remove the folder, those of the dead, and the parent if it holds nothing else.

        A process that only reads removes what a killed one left: the next start may never write.
        """
        if not self._parent.is_dir():
            return
        with contextlib.suppress(OSError), self.alone():
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


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn an ``OSError`` into an error of ours, with what was being done and what to try."""
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
            raise AccessError(message, advice=not_ours_advice(contained=in_container())) from error
        raise PermanentError(message) from error


def in_container(marks: Iterable[Path] = CONTAINER_MARKS) -> bool:
    """Whether this process runs in a container, where files are another user's more often than not."""
    return any(mark.exists() for mark in marks)


def not_ours_advice(*, contained: bool) -> str:
    """What to try where the system forbids us a file."""
    advice = "Check who owns it, and whether it is mounted read-only."
    if not contained:
        return advice
    return (
        f"{advice} In a container, mount the folder and run as its owner: "
        '--user "$(id -u):$(id -g)" -v ./data:/app/data (in Kubernetes, fsGroup).'
    )


@contextlib.contextmanager
def _exclusively(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path``, which may be unlinked by the holder before."""
    for tries_left in reversed(range(MOST_TRIES)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("ab")
        except FileNotFoundError:
            if not tries_left:
                raise  # a place where no folder can be made, such as /proc
            continue  # the folder went away between the two lines
        except FileExistsError:
            # It went away within the first; or something else has its name.
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
