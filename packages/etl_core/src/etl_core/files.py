"""Hashes of files, and errors of the file system."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from typing import TYPE_CHECKING

from etl_core import machine
from etl_core.errors import AccessError, PermanentError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ_BYTES = 1024 * 1024
# What a network file system answers while its server is away or is started again, and a disk that fails.
FAILING = machine.FAILING | {errno.ETIMEDOUT, errno.EAGAIN}
PERMISSION_ADVICE = (
    "Check who owns it, and whether it is mounted read-only. In a container, mount a folder (-v FOLDER:PATH) and run "
    'as its owner: --user "$(id -u):$(id -g)", in Kubernetes fsGroup.'
)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as lower-case hex, read in 1 MiB pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def chunks_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, in 1 MiB pieces."""
    with path.open("rb") as stream:
        while chunk := stream.read(READ_BYTES):
            yield chunk


@contextlib.contextmanager
def translate_os_errors(doing: str) -> Iterator[None]:
    """Raise ``AccessError``, ``UnavailableError`` or ``PermanentError`` for an ``OSError``: "cannot <doing>: …"."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"cannot {doing}: {reason}."
        if error.errno in FAILING:
            raise UnavailableError(message) from error
        if missing := machine.what_is_missing(error, doing):
            raise missing from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise AccessError(message, advice=PERMISSION_ADVICE) from error
        raise PermanentError(message) from error
