"""The keys of logs and metrics."""

from __future__ import annotations

from data_pipeline.lake_layout.ids import checked_run_id, numbered


def log(run_id: str, number: int) -> str:
    """The log of a run; a run that was continued has several."""
    return f"metadata/logs/run_id={checked_run_id(run_id)}{numbered(number)}.log"


def metrics(run_id: str, number: int) -> str:
    """The metrics of a run in Prometheus text form, beside its log."""
    return log(run_id, number).removesuffix(".log") + ".prom"
