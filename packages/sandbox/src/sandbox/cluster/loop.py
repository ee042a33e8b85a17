"""One lock and one thread: what is due, each call holding the lock, then sleep until the next."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
import traceback
from collections.abc import Callable


class Loop:
    """Runs calls one after the other, holding `lock`; threads that wait on `lock` are woken after them."""

    def __init__(self) -> None:
        self.lock = threading.Condition(threading.RLock())
        self.bugs: list[str] = []  # tracebacks of calls that raised
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()  # calls due at the same moment come in their order
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="cluster-controller")
        self._thread.start()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        with self.lock:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), call))
            self.lock.notify_all()

    def stop(self) -> None:
        self._stopping = True
        self.after(0, lambda: None)
        self._thread.join()

    def note_bug(self) -> None:
        """Keep and show the exception being handled."""
        self.bugs.append(traceback.format_exc())
        traceback.print_exc()

    def _run(self) -> None:
        while not self._stopping:
            with self.lock:
                self.lock.wait(max(0, self._due[0][0] - time.monotonic()) if self._due else None)
                begun = time.monotonic()
                while self._due and self._due[0][0] <= begun:  # what these ask for comes when others had the lock
                    try:
                        heapq.heappop(self._due)[2]()
                    except Exception:  # noqa: BLE001 - one call's bug must not end all others
                        self.note_bug()
                self.lock.notify_all()
            time.sleep(0)  # a lock given back and taken at once is never seen free
