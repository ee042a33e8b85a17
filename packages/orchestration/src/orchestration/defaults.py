"""What all DAGs have in common; a test compares each of them with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Asset

from orchestration.operator import report_failure

RETRIES = 3
TAGS = ["data-pipeline"]

# What the steps make. The event of each names the run, the release and the manifest.
ZONES = ("raw", "staging", "curated", "marts")
RAW, STAGING, CURATED, MARTS = (Asset(name=f"lake_{zone}", uri=f"data-pipeline://lake/{zone}") for zone in ZONES)


def dag_options(*tags: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - those of a DAG
    """The options of a DAG. It is paused until somebody unpauses it, which starts the last passed run at once."""
    return {
        "start_date": datetime(2014, 1, 1, tzinfo=UTC),
        "catchup": False,
        "is_paused_upon_creation": True,
        "max_active_runs": 1,  # one budget of requests to each source
        "default_args": {"owner": "data-platform", "retries": RETRIES, "on_failure_callback": report_failure},
        "tags": [*TAGS, *tags],
        "render_template_as_native_obj": False,
        **more,
    }
