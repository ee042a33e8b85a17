"""The keys of a run, whatever it fetches."""

from __future__ import annotations

import re

from data_pipeline.lake_layout.ids import checked_run_id

RUNS = "metadata/runs/"


def folder(run_id: str) -> str:
    """Prefix of everything that is a run's own."""
    return f"{RUNS}run_id={checked_run_id(run_id)}/"


def plan(run_id: str) -> str:
    """What a run set out to do."""
    return f"{folder(run_id)}plan.json"


def manifest(run_id: str) -> str:
    """What a run did: its commit."""
    return f"{folder(run_id)}manifest.json"


def file_audits(run_id: str) -> str:
    """All part audits of a run, a line each."""
    return f"{folder(run_id)}file_audits.jsonl"


def failures(run_id: str, unit: str = "") -> str:
    """Prefix of a run's failed attempts, of all units or of the one in this folder."""
    return f"{folder(run_id)}failures/{unit and unit + '/'}"


def failure(run_id: str, unit: str, attempt_id: str) -> str:
    """One attempt that proved nothing."""
    return f"{failures(run_id, unit)}attempt-{attempt_id}.json"


def run_of(key: str) -> str | None:
    """The run that ``key`` is the plan or the manifest of, or None."""
    match = re.fullmatch(r"metadata/runs/run_id=([^/]+)/(plan|manifest)\.json", key)
    return match[1] if match else None
