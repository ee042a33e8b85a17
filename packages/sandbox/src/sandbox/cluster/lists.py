"""Lists: selectors and pages."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from sandbox.cluster.objects import KubeObject
from sandbox.cluster.problems import EXPIRED, Problem

_PART = re.compile(r"([\w./-]+)(?:\s*==?\s*([\w.-]*)|\s+in\s*\(([^()]*)\))?", re.ASCII)


def selected(objects: Mapping[str, KubeObject], query: Mapping[str, str]) -> list[KubeObject]:
    """By name, those with the labels `a=1,b in (2,3),c`; of events, those of `involvedObject.name=x`."""
    text, (field, _, about) = query.get("labelSelector", ""), query.get("fieldSelector", "").partition("=")
    wanted = [_requirement(part) for part in re.split(r",(?![^()]*\))", text) if text]
    if field not in {"", "involvedObject.name"}:
        raise Problem(400, "BadRequest", f"field label not supported: {field}")
    return [
        item
        for _, item in sorted(objects.items())
        if all(key in item.labels and (not values or item.labels[key] in values) for key, values in wanted)
        and (not field or item.body.get("involvedObject", {}).get("name") == about)
    ]


def _requirement(part: str) -> tuple[str, set[str]]:
    """A label and the values it may have; none: it only has to be there."""
    found = _PART.fullmatch(part.strip())
    if found is None:
        raise Problem(400, "BadRequest", f"unable to parse requirement: {part!r} is no label selector known here")
    values = found[2] if found[3] is None else found[3]
    return found[1], set() if values is None else {value.strip() for value in values.split(",")}


def page(
    objects: Sequence[KubeObject], query: Mapping[str, str], seconds: float
) -> tuple[list[KubeObject], dict[str, str]]:
    """The requested page, and the metadata that continue from its last name; 410 for an old token."""
    limit, (begun, _, last) = int(query.get("limit", 0)), query.get("continue", "").partition("/")
    if begun and time.monotonic() - float(begun) >= seconds:
        raise Problem(*EXPIRED)
    left = [item for item in objects if item.name > last]
    if not limit or len(left) <= limit:
        return left, {}
    return left[:limit], {"continue": f"{begun or time.monotonic()}/{left[limit - 1].name}"}
