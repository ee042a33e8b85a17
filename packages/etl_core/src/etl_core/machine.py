"""What a machine lacks: errors that no code and no data has caused, with advice."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from etl_core.errors import AccessError, PipelineError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILES = "Raise the limit of open files, as in `ulimit -n 1024`, or use fewer streams."
_MEMORY = "Give the process more memory, or use fewer streams."
_THREADS = "Raise the limit of threads, as in `ulimit -u 4096`, or of memory, or use fewer streams."
_SPACE = "Free some space and run the same command again; work done is kept."
_FAILING = "A disk or a network file system failed: run the same command again; work done is kept."
_UNIX = "It runs on Linux and macOS; elsewhere, use WSL or the image."
_TEMPORARY = "Set TMPDIR to a folder of your own; in a container, mount a writable one at /tmp."
_LOCKS = "Its file system grants no locks: use another, which `df .` names."
ADVICE = {
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: _THREADS,
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.ENOLCK: _LOCKS,
    errno.ENOSYS: _LOCKS,
}
# Of a file system that failed for a moment; sockets have other numbers.
FAILING = frozenset({errno.EIO, errno.ESTALE})
# Modules of the standard library that only Unix has.
_OF_UNIX = frozenset({"fcntl", "pwd", "resource"})
# What the standard library says where it finds no folder for temporary files.
_NO_TEMPORARY_FOLDER = "No usable temporary directory"


def what_is_missing(error: BaseException, doing: str = "continue") -> PipelineError | None:
    """The error to report if ``error`` or one of its causes says that the machine lacks something, or fails."""
    for one in _causes(error):
        if isinstance(one, AccessError):
            return one
        if isinstance(one, MemoryError):
            return AccessError(f"cannot {doing}: out of memory.", advice=_MEMORY)
        if isinstance(one, RuntimeError) and "can't start new thread" in str(one):
            return AccessError(f"cannot {doing}: {one}.", advice=_THREADS)
        if isinstance(one, OSError) and one.errno in FAILING:
            return UnavailableError(f"cannot {doing}: {os.strerror(one.errno)}.", advice=_FAILING)
        if isinstance(one, ModuleNotFoundError) and one.name in _OF_UNIX:
            return AccessError(f"cannot {doing}: this system has no {one.name}.", advice=_UNIX)
        if isinstance(one, FileNotFoundError) and _NO_TEMPORARY_FOLDER in str(one):
            return AccessError(f"cannot {doing}: there is no folder for temporary files.", advice=_TEMPORARY)
        if isinstance(one, OSError) and one.errno in ADVICE:
            return AccessError(f"cannot {doing}: {os.strerror(one.errno)}.", advice=ADVICE[one.errno])
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what Python or a library says has caused it."""
    seen: set[int] = set()
    open_ones: list[object] = [error]
    while open_ones:
        one = open_ones.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            open_ones += [one.__cause__, getattr(one, "reason", None), *one.args]
