"""Figures and a run, as small as can be: what the tests of pages share."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from data_pipeline.lakehouse.documents import MartsInput, MartsManifest, Reconciled, StoredFile
from data_pipeline.reports.figures import Bar, Chart, Figures
from data_pipeline.reports.run_values import Fetching, Interval

START = datetime(2026, 11, 29, 12, tzinfo=UTC)


def a_source(**changes: Any) -> MartsInput:
    values: dict[str, Any] = {
        "dataset": "general-payments", "year": 2024, "release": "2026-06-30-9323b84e", "build": "0cf12a56", "number": 1,
        "run_id": "r1", "closed": True, "rows": 3, "quarantined": 0, "amount_usd": Decimal("1234567.80"),
        "created_at": START,
    }  # fmt: skip
    return MartsInput(**values | changes)


def a_fetching(**changes: Any) -> Fetching:
    values: dict[str, Any] = {
        "run_id": "r1", "status": "completed", "closed": True, "note": "all payers agree", "planned": 2, "proved": 2,
        "failed": 0, "source_rows": 3, "proved_rows": 3, "requests": 9, "retries": 1, "parts": 2, "reused": 0,
        "bytes": 4096,
        "started_at": START, "finished_at": START + timedelta(minutes=2),
        "pace": (Interval(0, 4), Interval(1, 4, 1)), "faults": (),
    }  # fmt: skip
    return Fetching(**values | changes)


def reconciled(**changes: Any) -> Reconciled:
    values: dict[str, Any] = {
        "dataset": "general-payments", "year": 2024, "entity_kind": "company", "is_whole_year": True,
        "summary_release": "2026-06-30-d5762bed", "entities": 1500, "entities_differing": 0, "payments_difference": 0,
        "amount_difference_usd": Decimal(0), "amount_differing_usd": Decimal(0),
    }  # fmt: skip
    return Reconciled(**values | changes)


def figures(*bars: Bar, source: MartsInput | None = None, **changes: Any) -> Figures:
    values: dict[str, Any] = {
        "source": source or a_source(), "companies": 2, "recipients": 2, "years": (), "differences": (),
        "charts": (Chart("The 10 largest companies", "company", "mart_top_companies", "rank", bars),),
    }  # fmt: skip
    return Figures(**values | changes)


def a_manifest(**changes: Any) -> MartsManifest:
    file = StoredFile(key="marts/build=1/open_payments-1.duckdb", bytes=1, sha256="0" * 64)
    values: dict[str, Any] = {
        "build": "1", "inputs": (), "closed": True, "file": file, "tables": {}, "tests": 104, "warnings": (),
        "created_at": START, "software": {},
    }  # fmt: skip
    return MartsManifest(**values | changes)
