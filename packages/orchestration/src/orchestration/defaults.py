"""What all DAGs have in common; a test compares each of them with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Asset, Param

from orchestration import commands
from orchestration.operator import DataPipelineOperator, report_failure

RETRIES = 3
TAGS = ["data-pipeline"]

# What the steps make. The event of each names the run, the release and the manifest.
ZONES = ("raw", "staging", "curated", "marts")
RAW, STAGING, CURATED, MARTS = (Asset(name=f"lake_{zone}", uri=f"data-pipeline://lake/{zone}") for zone in ZONES)


def dag_options(*tags: str) -> dict[str, Any]:
    """The options of a DAG. It is paused until somebody unpauses it, which starts the last passed run at once."""
    return {
        "start_date": datetime(2014, 1, 1, tzinfo=UTC),
        "catchup": False,
        "is_paused_upon_creation": True,
        "max_active_runs": 1,  # one budget of requests to each source
        "default_args": {"owner": "data-platform", "retries": RETRIES, "on_failure_callback": report_failure},
        "tags": [*TAGS, *tags],
        "user_defined_macros": {"run_id_of": commands.run_id_of},
    }


def run_id_param() -> Param:
    text = "Name of the run in the lake, behind what it fetches. Default: that of the DAG run."
    return Param(None, type=["null", "string"], pattern=f"^{commands.RUN_ID}$", description=text)


def tables_of(command: object) -> None:
    """The three steps from a source to its tables; ``command`` fetches."""
    fetched = DataPipelineOperator(
        task_id="ingest",
        command=command,
        outlets=[RAW],
        doc_md="Fetches what is missing and proves it; ends in the run's manifest.",
    )
    run_id: Any = fetched.output["run_id"]
    staged = DataPipelineOperator(
        task_id="stage",
        command=commands.stage(run_id),
        outlets=[STAGING],
        doc_md="Typed Parquet of every part; records that break the contract go to quarantine.",
    )
    curated = DataPipelineOperator(
        task_id="curate",
        command=commands.curate(run_id),
        outlets=[CURATED],
        doc_md="One build of the tables; its numbered manifest is what readers see.",
    )
    fetched >> staged >> curated
