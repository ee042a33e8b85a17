"""The keys of a fan-out: the lake's id, plans and claims under the run, and the backoff that all pods share."""

from __future__ import annotations

import re

from data_pipeline.lake_layout.open_payments import company
from data_pipeline.lake_layout.runs import folder

LAKE_ID = "metadata/lake_id.json"


def plan(run_id: str, shape: str) -> str:
    """Which pod of a run works on what."""
    return f"{folder(run_id)}fan_out_{shape}.json"


def claims(run_id: str) -> str:
    """Prefix of the reservations of a packed run's pods."""
    return f"{folder(run_id)}claims/"


def claim(run_id: str, company_id: str, number: int, of: int) -> str:
    """One window reserved by a pod."""
    return f"{claims(run_id)}{company(company_id)}/part-{number}-of-{of}.json"


def not_before(source: str) -> str:
    """Until when no pod may send requests to a source; ``source`` is its host and port."""
    return f"metadata/sources/{re.sub(r'[^a-z0-9.]+', '-', source.lower())}/not_before.json"
