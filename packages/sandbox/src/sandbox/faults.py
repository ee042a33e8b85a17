"""Faults by name: which request meets one. What a fault does there is up to the stand-in."""

from __future__ import annotations

import ast
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import unquote_plus

_OPTIONS = ("probability", "count", "match", "after")


@dataclass
class Fault:
    """A fault that is set. Without `probability` and `count` every matching request gets it."""

    name: str
    probability: float | None = None
    count: int | None = None
    match: str = ""
    after: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    def param(self, name: str, default: Any) -> Any:
        """A parameter, in the type of its default."""
        return type(default)(self.params.get(name, default))

    def fires(self, rng: random.Random) -> bool:
        """Whether this matching request gets the fault."""
        self.seen += 1
        spent = self.count is not None and self.fired >= self.count
        if self.seen <= self.after or spent or (self.probability is not None and rng.random() >= self.probability):
            return False
        self.fired += 1
        return True


class Faults:
    """The faults set now. At most one applies to a request: the first in the order of setting."""

    def __init__(self, seed: int, stages: Mapping[str, str]) -> None:
        """`stages` gives, by name, the stage of a request at which a fault applies."""
        self.random = random.Random(f"faults/{seed}")
        self._stages = stages
        self._set: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, name: str, **options: Any) -> None:
        """Set a fault; ValueError for a name or an option that does not exist."""
        if name not in self._stages:
            raise ValueError(f"there is no fault {name!r}; there are: {', '.join(self._stages)}")
        if wrong := options.keys() - {*_OPTIONS, "params"}:
            raise ValueError(f"no option of a fault: {', '.join(sorted(wrong))}; its own ones go into params")
        with self._lock:
            self._set.append(Fault(name, **options))

    def clear(self) -> None:
        with self._lock:
            self._set.clear()

    def listed(self) -> list[dict[str, Any]]:
        """The faults with the matching requests seen and the times fired."""
        with self._lock:
            return [asdict(fault) for fault in self._set]

    def draw(self, stage: str, target: str, can_apply: Callable[[Fault], bool]) -> Fault | None:
        """The fault for a request at a stage. One that cannot apply there is left out, and does not count it."""
        with self._lock:
            here = (fault for fault in self._set if self._stages[fault.name] == stage and fault.match in target)
            return next((fault for fault in here if can_apply(fault) and fault.fires(self.random)), None)


class FaultDraw:
    """The faults drawn for one request, at most one; `match` may be percent-encoded or not."""

    def __init__(self, faults: Faults, target: str) -> None:
        self._faults, self._target = faults, f"{target} {unquote_plus(target)}"
        self.random = faults.random  # seeded, so that a run can be repeated
        self.fault: Fault | None = None

    def take(self, stage: str, can_apply: Callable[[Fault], bool] = lambda _: True) -> Fault | None:
        """The fault of this stage, if any, and if there was none before."""
        if self.fault is not None:
            return None
        self.fault = self._faults.draw(stage, self._target, can_apply)
        return self.fault


def literal(text: str) -> Any:
    """A value from a command line: a Python literal, else the text."""
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (SyntaxError, ValueError):
        return text


def parse(text: str) -> dict[str, Any]:
    """`name:probability=0.05,match=/download,seconds=2` as options of `Faults.add`; unknown keys become params."""
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {"name": name, "params": {}}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"a fault's option is written key=value, not {pair!r}")
        (options if key in _OPTIONS else options["params"])[key] = value if key == "match" else literal(value)
    return options
