"""What was asked and answered: one entry a request, in the order of their start."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.faults import Fault
from sandbox.open_payments.reply import Reply


@dataclass
class Entry:
    """One request. Times are seconds since the epoch; `bytes` counts the body without the framing of chunks."""

    n: int = 0
    started: float = 0.0
    method: str = ""
    target: str = ""
    user_agent: str = ""
    concurrent: int = 0  # open requests when this one began, itself included
    ended: float | None = None
    status: int = 0
    fault: str | None = None
    cached: bool = False
    bytes: int = 0
    rows_returned: int = 0
    rows_skipped: int = 0  # by an offset
    rows_scanned: int = 0  # by filters on columns without an index, beyond those that matched
    rows_sorted: int = 0

    def note(self, reply: Reply, fault: Fault | None) -> None:
        """What is known before the body is sent."""
        self.status, self.cached, self.fault = reply.status, reply.cached, fault.name if fault else None
        vars(self).update(reply.cost)


class Ledger:
    """The entries since the last clearing."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._open = self._number = 0
        self._lock = threading.Lock()

    def begin(self, method: str, target: str, user_agent: str) -> Entry:
        """A request has been read."""
        with self._lock:
            self._open += 1
            self._number += 1
            entry = Entry(self._number, time.time(), method, target, user_agent, self._open)
            self._entries.append(entry)
        return entry

    def end(self, entry: Entry) -> None:
        """The answer is complete, or will never be."""
        with self._lock:
            if entry.ended is None:
                self._open -= 1
                entry.ended = time.time()

    def clear(self) -> None:
        """Forget all entries; the numbers go on."""
        with self._lock:
            self._entries = []

    def listed(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(entry) for entry in self._entries]

    def summary(self) -> dict[str, Any]:
        """Totals over the entries."""
        entries = self.listed()
        totals = ("bytes", "rows_returned", "rows_skipped", "rows_scanned", "rows_sorted", "cached")
        return {
            "requests": len(entries),
            "by_status": Counter(str(entry["status"]) for entry in entries),
            "by_fault": Counter(entry["fault"] for entry in entries if entry["fault"]),
            "max_concurrent": max((entry["concurrent"] for entry in entries), default=0),
            **{name: sum(entry[name] for entry in entries) for name in totals},
        }
