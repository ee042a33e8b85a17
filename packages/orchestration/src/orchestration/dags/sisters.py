"""The two sister ingestions: customers of a CRM, and an agency's files."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

from orchestration import commands, settings
from orchestration.defaults import CURATED, RAW, STAGING, dag_options
from orchestration.operator import DataPipelineOperator

SETTINGS = settings.load()


def tables_of(command: Any) -> None:
    """The three steps from a source to its tables."""
    fetched = DataPipelineOperator(
        task_id="ingest", command=command, outlets=[RAW], doc_md="Fetches what is missing; ends in the run's manifest."
    )
    run_id: Any = fetched.output["run_id"]
    staged = DataPipelineOperator(
        task_id="stage", command=commands.stage(run_id), outlets=[STAGING], doc_md="Typed Parquet, and quarantine."
    )
    curated = DataPipelineOperator(
        task_id="curate", command=commands.curate(run_id), outlets=[CURATED], doc_md="The table that readers see."
    )
    fetched >> staged >> curated


with DAG(
    "customers_daily",
    description="The customers of a CRM, proved and as a table",
    schedule="23 5 * * *",
    params={
        "run_id": Param(
            None, type=["null", "string"], pattern=f"^{commands.RUN_ID}$", description="Default: that of the DAG run."
        )
    },
    doc_md="""
### The customers of a CRM, each day
All pages of an unreliable API, proved by its own count, as one CSV, then as a table. A retry continues with the next
page.
""",
    **dag_options("customers"),
) as customers_daily:

    @task(doc_md="Writes down the command of this DAG run.")
    def plan_customers() -> commands.Command:
        context = get_current_context()
        given = context["params"]["run_id"]
        return commands.customers(commands.run_id_of(given, context["dag_run"].run_id, "customers"))

    tables_of(plan_customers())


with DAG(
    "agency_files",
    description="An agency's files, copied and listed",
    schedule="41 4 * * *",
    params={
        "agency_id": Param(int(SETTINGS.agency_id), type="integer", minimum=0, description="Whose files are copied."),
        "source_bucket": Param(
            SETTINGS.agency_source_bucket, type="string", pattern="^[a-z0-9][a-z0-9./:_-]{1,200}$",
            description="A bucket, or s3://bucket/prefix.",
        ),
        "run_id": Param(
            None, type=["null", "string"], pattern=f"^{commands.RUN_ID}$", description="Default: that of the DAG run."
        ),
    },
    doc_md="""
### An agency's files, each night
Copies the files that a database lists between buckets, create-only and verified, and makes a table of the list.
""",
    **dag_options("agency-files"),
) as agency_files:  # fmt: skip

    @task(doc_md="Writes down the command of this DAG run.")
    def plan_agency_files() -> commands.Command:
        context = get_current_context()
        params, run_id = context["params"], context["dag_run"].run_id
        name = commands.run_id_of(params["run_id"], run_id, "agency", str(params["agency_id"]))
        return commands.agency_files(params["agency_id"], params["source_bucket"], name)

    tables_of(plan_agency_files())
