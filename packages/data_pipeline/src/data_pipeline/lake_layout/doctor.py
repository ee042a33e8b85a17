"""The keys of what ``doctor`` writes."""

from __future__ import annotations


def source_report(moment: str) -> str:
    """What ``doctor`` found of the source at a moment in UTC."""
    return f"metadata/doctor/source-{moment}.json"


def lake_probe(name: str) -> str:
    """What ``doctor`` writes to try a lake, and deletes again."""
    return f"metadata/doctor/probe-{name}"
