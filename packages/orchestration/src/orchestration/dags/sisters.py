"""The two sister ingestions: customers of a CRM, and an agency's files."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from orchestration import commands, settings
from orchestration.defaults import dag_options, run_id_param, tables_of

SETTINGS = settings.load()


with DAG(
    "customers_daily",
    description="The customers of a CRM, proved and as a table",
    schedule="23 5 * * *",
    params={"run_id": run_id_param()},
    doc_md="""
### The customers of a CRM, each day
All pages of an unreliable API, proved by its own count, as one CSV, then as a table. A retry continues with the next
page.
""",
    **dag_options("customers"),
):
    tables_of(commands.customers("{{ run_id_of(params.run_id, run_id, 'customers') }}"))


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
        "run_id": run_id_param(),
    },
    doc_md="""
### An agency's files, each night
Copies the files that a database lists between buckets, create-only and verified, and makes a table of the list.
""",
    **dag_options("agency-files"),
):  # fmt: skip
    named = "{{ run_id_of(params.run_id, run_id, 'agency', params.agency_id | string) }}"
    tables_of(commands.agency_files("{{ params.agency_id }}", "{{ params.source_bucket }}", named))
