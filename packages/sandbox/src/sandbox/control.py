"""The control interface under `/_sandbox/`: truth, ledger, faults, settings, publications."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from sandbox.releases import Release
    from sandbox.source import Request, Source


def control(source: Source, request: Request) -> tuple[int, Any]:
    """Carry out a control request: status and JSON body. What cannot be done is a 400 with the reason."""
    action = _ACTIONS.get((request.method, "/".join(request.path[1:])))
    if action is None:
        return 404, {"error": f"no such control; there are: {', '.join(map(' '.join, _ACTIONS))}"}
    try:
        return 200, action(source, **dict(parse_qsl(request.query_string)), **json.loads(request.body or b"{}"))
    except (KeyError, TypeError, ValueError) as problem:
        return 400, {"error": f"{type(problem).__name__}: {problem}"}


def released(release: Release) -> dict[str, Any]:
    """A publication in short."""
    return {
        "year": release.year,
        "release": release.number,
        "distribution_id": release.distribution.id,
        "modified": release.modified.isoformat(),
        "rows": sum(release.rows.values()),
        "rows_in_table": sum(release.visible.values()),
    }


def _truth(source: Source, year: str, company_id: str | None = None, ids: str = "false") -> Any:
    return source.world.truth(int(year), company_id, ids=ids.lower() == "true")


def _add_fault(source: Source, **options: Any) -> Any:
    source.faults.add(**options)
    return source.faults.listed()


def _settings(source: Source, **changes: Any) -> Any:
    source.switch(**changes)
    return asdict(source.settings)


_ACTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("GET", "truth"): _truth,
    ("GET", "ledger"): lambda source: source.ledger.listed(),
    ("DELETE", "ledger"): lambda source: source.ledger.clear(),
    ("GET", "ledger/summary"): lambda source: source.ledger.summary(),
    ("GET", "faults"): lambda source: source.faults.listed(),
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): lambda source: source.faults.clear(),
    ("POST", "republish"): lambda source, **options: released(source.world.republish(**options)),
    ("POST", "finish-import"): lambda source, year: released(source.world.finish_import(int(year))),
    ("GET", "settings"): lambda source: asdict(source.settings),
    ("POST", "settings"): _settings,
}
