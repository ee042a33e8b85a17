"""A stop request from a signal handler to every thread."""

from __future__ import annotations

import contextlib
import queue
import signal
from typing import TYPE_CHECKING

from etl_core.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


class Stop:
    """Set by a signal or a caller; sleeping threads wake at once, working ones call ``check``.

    A second signal of the same kind ends the process as by default. ``on_check`` is called by every ``check`` and
    ``sleep``: a thread that gets there does not hang.
    """

    def __init__(self, *, on_check: Callable[[], None] = lambda: None) -> None:
        self._on_check = on_check
        self._is_requested = False
        # Wakes one sleeper, which wakes the next. A signal handler must not take a lock that the thread it
        # interrupts may hold, as ``threading.Event.set`` does; ``SimpleQueue.put`` is made for that.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._signal_number = signal.SIGINT

    def request(self, signal_number: int = signal.SIGINT) -> None:
        """Request every thread to stop."""
        self._signal_number = signal.Signals(signal_number)
        self._is_requested = True
        self._wake.put(None)

    def reset(self) -> None:
        """Withdraw the request, so that cleaning up may sleep again."""
        self._is_requested = False
        with contextlib.suppress(queue.Empty):
            while True:
                self._wake.get_nowait()

    @contextlib.contextmanager
    def requested(self) -> Iterator[None]:
        """Request every thread to stop, and withdraw the request at the end: the caller may continue."""
        self.request()
        try:
            yield
        finally:
            self.reset()

    def check(self) -> None:
        """Raise ``StoppedError`` if a stop was requested."""
        self._on_check()
        self.raise_if_requested()

    def raise_if_requested(self) -> None:
        """``check``, for a thread that only waits for others: that is no sign of life."""
        if self._is_requested:
            name = self._signal_number.name
            raise StoppedError(f"stopped by {name}; completed work is kept", signal_number=self._signal_number)

    def wait(self) -> None:
        """Wait without limit until a stop is requested."""
        self._wake.get()
        self._wake.put(None)

    def sleep(self, seconds: float) -> None:
        """Sleep; raises ``StoppedError`` as soon as a stop is requested."""
        self._on_check()
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=max(0.0, seconds))
            self._wake.put(None)
        self.check()

    def install(self) -> None:
        """Handle SIGINT, SIGTERM and SIGHUP as a request. Only the main thread may call this.

        What is ignored stays so: ``nohup`` lets a process outlive its terminal by ignoring SIGHUP.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        self.request(number)
