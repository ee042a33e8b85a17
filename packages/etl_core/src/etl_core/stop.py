"""One word from a signal handler to every thread: stop."""

from __future__ import annotations

import contextlib
import queue
import signal
from typing import TYPE_CHECKING

from etl_core.errors import StoppedError

if TYPE_CHECKING:
    from types import FrameType


class Stop:
    """Set once, by a signal or by a caller; sleeping and working threads notice at once.

    A second signal of the same kind ends the process the way the system would.
    """

    def __init__(self) -> None:
        self._asked = False
        # Wakes sleepers, each of whom passes it on. A signal handler must not take a lock that the thread it
        # interrupts may hold, as ``threading.Event.set`` does; ``SimpleQueue.put`` is made for that.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._signal_number = signal.SIGINT

    @property
    def asked(self) -> bool:
        """Whether somebody asked to stop."""
        return self._asked

    def ask(self, signal_number: int = signal.SIGINT) -> None:
        """Ask every thread to stop."""
        self._signal_number = signal.Signals(signal_number)
        self._asked = True
        self._wake.put(None)

    def forget(self) -> None:
        """The request is met; what follows, such as clearing up after it, may sleep again."""
        self._asked = False
        with contextlib.suppress(queue.Empty):
            while True:
                self._wake.get_nowait()

    def check(self) -> None:
        """Raise ``StoppedError`` if somebody asked to stop."""
        if self._asked:
            name = self._signal_number.name
            raise StoppedError(f"stopped by {name}; what was proved is kept", signal_number=self._signal_number)

    def wait(self) -> None:
        """Wait, for ever, until somebody asks to stop."""
        self._wake.get()
        self._wake.put(None)

    def sleep(self, seconds: float) -> None:
        """Sleep, but not past a request to stop; raises ``StoppedError`` then."""
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=max(0.0, seconds))
            self._wake.put(None)
        self.check()

    def install(self) -> None:
        """Let SIGINT and SIGTERM ask. Only the main thread may call this."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        self.ask(number)
