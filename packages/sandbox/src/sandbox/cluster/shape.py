"""The members of a Job and their types, as the OpenAPI document of Kubernetes 1.31 has them."""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Iterator
from typing import Any

from sandbox.cluster.problems import bad_request

_TYPES = {"string": str, "integer": int, "boolean": bool}


@functools.cache
def _shapes() -> dict[str, dict[str, str]]:
    """Type to member to type; `[T` is a list and `{T` a mapping of T, "any" is not looked at."""
    text = importlib.resources.files("sandbox").joinpath("data/job_shape.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found


def take_unknown(value: Any, kind: str = "Job", path: str = "") -> Iterator[str]:
    """Remove what the type does not have, and say where it was; 400 for a member of another type."""
    if value is None or kind == "any":
        return
    if kind[0] in "[{":
        members = _sequence(value, path) if kind[0] == "[" else _mapping(value, path).items()
        for at, member in members:
            yield from take_unknown(member, kind[1:], f"{path}[{at}]" if kind[0] == "[" else f"{path}.{at}")
    elif kind in _TYPES:
        if not isinstance(value, _TYPES[kind]) or isinstance(value, bool) != (kind == "boolean"):
            raise _wrong_type(value, path, kind)
    else:
        shape = _shapes()[kind]
        for name in list(_mapping(value, path)):
            where = f"{path}.{name}".removeprefix(".")
            if name in shape:
                yield from take_unknown(value[name], shape[name], where)
            else:
                del value[name]
                yield where


def _mapping(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong_type(value, path, "object")
    return value


def _sequence(value: Any, path: str) -> Iterator[tuple[int, Any]]:
    if not isinstance(value, list):
        raise _wrong_type(value, path, "array")
    return iter(list(enumerate(value)))


def _wrong_type(value: Any, path: str, kind: str) -> Exception:
    return bad_request(f"json: cannot unmarshal {type(value).__name__} into Go struct field .{path} of type {kind}")
