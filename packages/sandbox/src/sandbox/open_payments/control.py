"""The control interface under `/_sandbox/`: truth, ledger, faults, settings, publications."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sandbox.open_payments.source import Source


def control(source: Source, method: str, target: str, body: bytes) -> tuple[int, Any]:
    """Carry out a control request: status and JSON body. What cannot be done is a 400 with the reason."""
    address = urlsplit(target)
    action = _ACTIONS.get(f"{method} {address.path.removeprefix('/_sandbox/')}")
    if action is None:
        return 404, {"error": f"no such control; there are: {', '.join(_ACTIONS)}"}
    try:
        return 200, action(source, **dict(parse_qsl(address.query)), **json.loads(body or b"{}"))
    except (KeyError, TypeError, ValueError) as problem:
        return 400, {"error": f"{type(problem).__name__}: {problem}"}


def _truth(source: Source, year: str, company_id: str | None = None, ids: str = "false", **dataset: str) -> Any:
    return source.world.truth(int(year), company_id, ids=ids == "true", **dataset)


_ACTIONS: dict[str, Callable[..., Any]] = {
    "GET truth": _truth,
    "GET ledger": lambda source: source.ledger.listed(),
    "DELETE ledger": lambda source: source.ledger.clear(),
    "GET ledger/summary": lambda source: source.ledger.summary(),
    "GET faults": lambda source: source.faults.listed(),
    "POST faults": lambda source, **options: source.faults.add(**options),
    "DELETE faults": lambda source: source.faults.clear(),
    "POST republish": lambda source, **options: source.world.republish(**options),
    "POST finish-import": lambda source, **options: source.world.finish_import(**options),
    "GET settings": lambda source: asdict(source.settings),
    "POST settings": lambda source, **changes: source.switch(**changes),
}
