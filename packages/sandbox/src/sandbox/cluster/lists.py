"""Lists: who is selected, and pages of one snapshot."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Callable
from typing import Any

from sandbox.cluster.problems import bad_request, expired
from sandbox.cluster.resources import Resource
from sandbox.cluster.store import Store, Thing

_SNAPSHOTS = 64  # kept at once; the oldest goes first
_KEY = r"([A-Za-z0-9][-A-Za-z0-9_./]*)"
_EQUAL = re.compile(rf"{_KEY}\s*==?\s*([-A-Za-z0-9_.]*)")
_UNEQUAL = re.compile(rf"{_KEY}\s*!=\s*([-A-Za-z0-9_.]*)")
_AMONG = re.compile(rf"{_KEY}\s+(in|notin)\s*\(([^()]*)\)")
_EXISTS = re.compile(rf"(!?)\s*{_KEY}")

LabelTest = Callable[[dict[str, str]], bool]


def parse_selector(text: str) -> tuple[list[tuple[str, str]], list[LabelTest]]:
    """A label selector as the labels that must be equal, and tests for the rest; 400 for one that is none."""
    equal: list[tuple[str, str]] = []
    tests: list[LabelTest] = []
    for part in filter(None, (part.strip() for part in re.split(r",(?![^()]*\))", text))):
        if found := _EQUAL.fullmatch(part):
            equal.append((found[1], found[2]))
        elif found := _UNEQUAL.fullmatch(part):
            tests.append(lambda labels, key=found[1], value=found[2]: labels.get(key) != value)  # type: ignore[misc]
        elif found := _AMONG.fullmatch(part):
            tests.append(_among(found[1], {value.strip() for value in found[3].split(",")}, found[2] == "in"))
        elif found := _EXISTS.fullmatch(part):
            tests.append(lambda labels, key=found[2], there=not found[1]: (key in labels) == there)  # type: ignore[misc]
        else:
            raise bad_request(f"unable to parse requirement: found {part!r} in the label selector {text!r}")
    return equal, tests


def _among(key: str, values: set[str], wanted: bool) -> LabelTest:
    return lambda labels: (labels.get(key) in values) == wanted


def _field(body: dict[str, Any], path: str) -> str:
    found: Any = body
    for part in path.split("."):
        found = found.get(part, "") if isinstance(found, dict) else ""
    return str(found)


def select(store: Store, resource: Resource, namespace: str, labels: str, fields: str) -> list[Thing]:
    """The objects that both selectors choose."""
    equal, tests = parse_selector(labels)
    things = [thing for thing in store.find(resource, namespace, equal) if all(test(thing.labels) for test in tests)]
    for part in filter(None, fields.split(",")):
        path, _, value = part.replace("==", "=").partition("=")
        negated, path = path.endswith("!"), path.rstrip("!")
        for thing in things:
            thing.item()  # brings its body up to date
        things = [thing for thing in things if (_field(thing.body, path) == value) != negated]
    return things


class Pages:
    """Snapshots of long lists, for as long as a `continue` token is good."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: dict[int, tuple[float, int, list[bytes]]] = {}
        self._last = 0

    def first(self, things: list[Thing], revision: int, limit: int) -> tuple[list[bytes], dict[str, Any]]:
        """The items of the first page, and the list's metadata."""
        items = [thing.item() for thing in things]
        if not limit or len(items) <= limit:
            return items, {"resourceVersion": str(revision)}
        self._last += 1
        if len(self._kept) >= _SNAPSHOTS:
            del self._kept[next(iter(self._kept))]
        self._kept[self._last] = (time.monotonic(), revision, items)
        return self._page(self._last, 0, limit)

    def further(self, token: str, limit: int) -> tuple[list[bytes], dict[str, Any]]:
        """The page that a token stands for; 410 if its snapshot is gone."""
        try:
            number, start = json.loads(base64.urlsafe_b64decode(token))
        except (ValueError, TypeError, binascii.Error):
            raise bad_request("continue key is not valid") from None
        begun = self._kept.get(number, (float("-inf"), 0, []))[0]
        if time.monotonic() - begun >= self._seconds:
            self._kept.pop(number, None)
            raise expired()
        return self._page(number, start, limit)

    def _page(self, number: int, start: int, limit: int) -> tuple[list[bytes], dict[str, Any]]:
        _, revision, items = self._kept[number]
        meta: dict[str, Any] = {"resourceVersion": str(revision)}
        end = start + (limit or len(items))
        if end < len(items):
            meta["continue"] = base64.urlsafe_b64encode(json.dumps([number, end]).encode()).decode()
            meta["remainingItemCount"] = len(items) - end
        return items[start:end], meta
