"""One lock and one thread: what is due, then what was asked for, then sleep until the next of either."""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

_AT_A_TIME = 50  # calls before others may have the lock


class Loop:
    """Runs calls one after the other, each holding `lock`."""

    def __init__(self) -> None:
        self.lock = threading.Condition(threading.RLock())
        self.bugs: list[str] = []  # tracebacks of calls that raised
        self._soon: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="cluster-controller")
        self._thread.start()

    def soon(self, call: Callable[[], None]) -> None:
        with self.lock:
            self._soon.append(call)
            self.lock.notify_all()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        with self.lock:
            heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), call))
            self.lock.notify_all()

    def stop(self) -> None:
        with self.lock:
            self._stopping = True
            self.lock.notify_all()
        self._thread.join()

    def note_bug(self) -> None:
        """Keep and show the exception being handled."""
        self.bugs.append(traceback.format_exc())
        sys.stderr.write(self.bugs[-1])

    def _run(self) -> None:
        while True:
            with self.lock:
                while not self._stopping and not self._due():
                    self.lock.wait(self._timers[0][0] - time.monotonic() if self._timers else None)
                if self._stopping:
                    return
                for _ in range(min(_AT_A_TIME, len(self._soon))):
                    try:
                        self._soon.popleft()()
                    except Exception:  # noqa: BLE001 - one call's bug must not end all others
                        self.note_bug()
                self.lock.notify_all()
            time.sleep(0)  # a lock given back and taken at once is never seen free

    def _due(self) -> bool:
        """Move what is due to the queue; is there anything in it?"""
        while self._timers and self._timers[0][0] <= time.monotonic():
            self._soon.append(heapq.heappop(self._timers)[2])
        return bool(self._soon)
