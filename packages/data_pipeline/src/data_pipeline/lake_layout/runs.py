"""The keys of a run, whatever it fetches."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from data_pipeline.lake_layout.ids import checked_run_id, is_run_id

RUNS = "metadata/runs/"
_SELECTIONS = "metadata/selections/"
_LAST_MOMENT = datetime(9999, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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


def unit_of_failure(key: str) -> str:
    """The folder of the unit that a failed attempt is of."""
    return key.split("/")[-2]


def run_of(key: str) -> str | None:
    """The run that ``key`` is the plan or the manifest of, or None."""
    match = re.fullmatch(r"metadata/runs/run_id=([^/]+)/(plan|manifest)\.json", key)
    return match[1] if match and is_run_id(match[1]) else None


def domain(run_id: str, name: str) -> str:
    """An empty object beside the plan of a run that says which domain it is of."""
    return f"{folder(run_id)}domain={name}"


def domain_of(key: str) -> str | None:
    """The domain that the marker under ``key`` names; None for any other key."""
    match = re.fullmatch(r"metadata/runs/run_id=[^/]+/domain=([a-z_]+)", key)
    return match[1] if match else None


def all_selections(of_domain: str = "") -> str:
    """Folder of the pointers to all runs of a domain."""
    return f"{_SELECTIONS}all{of_domain and '_' + of_domain}/"


def selection(selection_hash: str, edition: str = "") -> str:
    """Folder of the pointers to the runs of a selection, of all editions of the source or of one."""
    return f"{_SELECTIONS}{selection_hash}/{edition and edition + '/'}"


def pointer(folder_of_pointers: str, at: datetime, run_id: str) -> str:
    """A pointer to a run: its name begins with the time left until the year 9999, so the newest sorts first."""
    return f"{folder_of_pointers}{(_LAST_MOMENT - at) // _MICROSECOND:018d}_{checked_run_id(run_id)}"


def run_of_pointer(key: str) -> tuple[str, datetime] | None:
    """The run that a pointer names and the moment it has; None for any other key."""
    match = re.search(r"/(\d{18})_([^/]+)$", key)
    if match is None or not is_run_id(match[2]):
        return None
    try:
        return match[2], _LAST_MOMENT - int(match[1]) * _MICROSECOND
    except OverflowError:
        return None
