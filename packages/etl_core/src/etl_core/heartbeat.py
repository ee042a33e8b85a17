"""A file that is touched while work advances: its time shows a process that hangs."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Seldom enough to cost nothing, often enough for a bound of minutes.
EVERY_SECONDS = 5.0


class Heartbeat:
    """Any thread calls ``beat`` where its work advances; without a ``path`` nothing happens.

    No thread of its own calls it: that one would go on while all others hang.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._next = clock()
        self.beat()

    def beat(self) -> None:
        """Touch the file, unless that was done a moment ago. A full disk is not its business."""
        now = self._clock()
        if self._path is None or now < self._next:
            return
        self._next = now + EVERY_SECONDS
        with contextlib.suppress(OSError):
            self._path.touch()
