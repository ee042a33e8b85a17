"""Open Payments: a program year from the source to a checked page, and a weekly look for new releases."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param, get_current_context, task, task_group

from orchestration import commands, settings
from orchestration.defaults import MARTS, dag_options, run_id_param, tables_of
from orchestration.operator import LABEL, DataPipelineOperator

AFTER_MARTS = [name for name in settings.load().after_marts.split(",") if name]
DOCS = {
    "marts": "dbt: facts, dimensions and marts of all years in one file; a failed test publishes nothing.",
    "report": "One page about the year: complete or not, and the figures.",
    "load_warehouse": "The year's build in PostgreSQL or Redshift, compared with its manifest.",
    "publish_catalogue": "The year's build in the Glue catalogue, for Athena.",
    "check_year": "Fails if the year is not proved, conserved or reconciled within bounds, and says what.",
}


def of(step: str) -> Any:
    """Picks the command of a step from what is planned for a dataset."""
    return lambda planned: planned[step]


with DAG(
    "open_payments_year",
    description="A program year from the source to a checked page",
    # CMS publishes a program year by 30 June of the next one. Backfills of this timetable are backfills of years.
    schedule="0 6 2 7 *",
    params={
        "dataset": Param(commands.ALL, enum=[commands.ALL, *commands.DATASETS], description="One dataset, or all."),
        "year": Param(
            None,
            type=["null", "integer"],
            minimum=commands.FIRST_YEAR,
            maximum=commands.LAST_YEAR,
            description="Program year. Default: the year before the logical date.",
        ),
        "run_id": run_id_param(),
        "shape": Param(
            commands.SHAPES[0], enum=list(commands.SHAPES), description="Fetch in one process, or spread over pods."
        ),
        "max_files": Param(
            None, type=["null", "integer"], minimum=1, description="Only the first N companies: a part of the year."
        ),
    },
    doc_md="""
### A program year of Open Payments
`plan` writes down the commands; for each dataset `ingest` fetches and proves the year, `stage` and `curate` make its
tables; then `marts` of all years, a page (`report`), and `check_year`, which fails the DAG run if anything that matters
is unproved, does not add up or is not reconciled.

Every step does what is missing: retry, clear or trigger it as often as you like. The year is the one before the logical
date, so the **backfill** of dates is the backfill of years: 2 July 2023 to 2 July 2025 are 2022 to 2024, one at a time.
Unpausing starts the last passed run at once. Which command a step runs is in *Rendered Templates*, why it failed at the
end of its log and in the XCom `diagnosis`.
""",
    **dag_options("open-payments"),
) as open_payments_year:

    @task(doc_md="Writes down the commands of this DAG run, from its parameters and its date.")
    def plan() -> list[dict[str, commands.Command]]:
        context = get_current_context()
        run, params = context["dag_run"], dict(context["params"])
        year = commands.year_of(params, run.logical_date, run.run_after)
        return commands.of_year(params, year, run.run_id, fan_out_options=settings.load().fan_out_options)

    def once_for_each_dataset(job: str) -> Any:
        step = DataPipelineOperator.partial(task_id=job, doc_md=DOCS[job], map_index_template=LABEL)
        return step.expand(command=planned.map(of(job)))

    planned = plan()
    dataset = task_group(group_id="dataset", tooltip="Once for each dataset")(tables_of)
    marts = DataPipelineOperator(task_id="marts", command=commands.marts(), outlets=[MARTS], doc_md=DOCS["marts"])
    read = [once_for_each_dataset(job) for job in (*AFTER_MARTS, "report")]
    dataset.expand(command=planned.map(of("ingest"))) >> marts >> read >> once_for_each_dataset("check_year")


with DAG(
    "open_payments_releases",
    description="Runs the years again that CMS has published again",
    schedule="0 7 * * 1",
    doc_md="""
### New releases of Open Payments
Each Monday: asks the source which release each year has, compares it with the tables of the lake, and triggers
`open_payments_year` for each dataset's year that CMS has published again. A release triggers one DAG run, once; years
that the lake has no tables of are left to the yearly schedule and to backfills.
""",
    **dag_options("open-payments"),
) as open_payments_releases:
    resolved = DataPipelineOperator.partial(
        task_id="resolve",
        doc_md="Asks the catalogue for the distribution of every year of a dataset.",
        map_index_template=LABEL,
    ).expand(command=[commands.resolve(one) for one in commands.DATASETS])

    @task(doc_md="Compares releases in the lake; reads two kinds of small documents.")
    def changed() -> list[dict[str, Any]]:
        from etl_core.lake import open_store
        from orchestration.evidence import releases_in, releases_resolved

        store = open_store(settings.load().lake_url, named="[data_pipeline] lake_url")
        return commands.changed(releases_resolved(store), releases_in(store))

    found = changed()
    resolved >> found
    TriggerDagRunOperator.partial(
        task_id="trigger",
        trigger_dag_id="open_payments_year",
        skip_when_already_exists=True,
        doc_md="One DAG run for each changed year; its name is that of the release, so there is never a second one.",
    ).expand_kwargs(found)
