"""A body that is read to its end although its source fails for a moment."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from etl_core.errors import TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from etl_core.retry import Retry


def resumed(open_at: Callable[[int], Generator[bytes]], retry: Retry) -> Iterator[bytes]:
    """The chunks of a body; after a temporary error it is opened again, at the first byte that is missing.

    Each chunk has all attempts of ``retry``: a large body fails oftener than a small one. Raises what ``open_at``
    raises, in the end also its temporary errors.
    """
    with contextlib.closing(_Body(open_at)) as body:
        while chunk := retry.call(body.next_chunk):
            yield chunk


class _Body:
    def __init__(self, open_at: Callable[[int], Generator[bytes]]) -> None:
        self._open_at = open_at
        self._chunks: Generator[bytes] | None = None
        self._received = 0

    def next_chunk(self, _attempt: int) -> bytes:
        """The bytes that follow, none at the end."""
        if self._chunks is None:
            self._chunks = self._open_at(self._received)
        try:
            chunk = next(self._chunks, b"")
        except TemporaryError:
            self._chunks = None
            raise
        self._received += len(chunk)
        return chunk

    def close(self) -> None:
        if self._chunks is not None:
            self._chunks.close()
