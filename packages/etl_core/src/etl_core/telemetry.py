"""Counters and gauges of a job, also in the Prometheus text format."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields


@dataclass
class Tally:
    """What one piece of work cost a service. Not shared between threads."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        for name in (entry.name for entry in fields(Tally)):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Telemetry:
    """Named counters and gauges of one job, shared between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._kinds: dict[str, tuple[str, str]] = {}

    def count(self, name: str, amount: float = 1, *, help_text: str = "", **labels: str) -> None:
        """Add to a counter. Names follow Prometheus: a unit, and ``_total`` at the end."""
        key = (name, tuple(sorted(labels.items())))
        with self._lock:
            self._kinds.setdefault(name, ("counter", help_text))
            self._values[key] = self._values.get(key, 0) + amount

    def gauge(self, name: str, value: float, *, help_text: str = "", **labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._kinds.setdefault(name, ("gauge", help_text))
            self._values[name, tuple(sorted(labels.items()))] = value

    def value(self, name: str, **labels: str) -> float:
        """The value now; without labels the sum over all label sets."""
        wanted = tuple(sorted(labels.items()))
        with self._lock:
            return sum(
                value for (key, have), value in self._values.items() if key == name and (not wanted or have == wanted)
            )

    def to_prometheus(self) -> str:
        """All values in the Prometheus text exposition format, version 0.0.4."""
        lines: list[str] = []
        with self._lock:
            for name in sorted(self._kinds):
                kind, help_text = self._kinds[name]
                if help_text:
                    lines.append(f"# HELP {name} {_escape_help(help_text)}")
                lines.append(f"# TYPE {name} {kind}")
                for (key, labels), value in sorted(self._values.items()):
                    if key == name:
                        inner = ",".join(f'{label}="{_escape(text)}"' for label, text in labels)
                        lines.append(f"{name}{{{inner}}} {value!r}" if inner else f"{name} {value!r}")
        return "\n".join(lines) + "\n" if lines else ""


def _escape(text: str) -> str:
    return _escape_help(text).replace('"', r"\"")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
