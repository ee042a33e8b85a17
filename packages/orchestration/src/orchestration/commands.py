"""The command of every step of every DAG: a job and its arguments. Pure: a test has each job parse its own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

Command = list[str]

DATASETS = ("general-payments", "research-payments", "ownership-payments")
ALL = "all"
# As run_pipeline's one process, or as the fan-out's pods.
SHAPES = ("process", "packed", "per-company")
# Steps that a deployment may add.
AFTER_MARTS = ("load_warehouse", "publish_catalogue")
FIRST_YEAR, LAST_YEAR = 2013, 2100
# As the lake takes it; without the last characters, which are left for the number of a second run of the name.
RUN_ID = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}"
MAX_RUN_ID = 80


def datasets_of(chosen: str) -> tuple[str, ...]:
    """One dataset or, for ``all``, each."""
    return DATASETS if chosen == ALL else (chosen,)


def subject_of(command: Iterable[object]) -> str:
    """The dataset that a command is about, by its words or by its run's name; empty without one."""
    words = [str(word) for word in command]
    return next((one for one in DATASETS if any(word.startswith(one) for word in words)), "")


def run_id_of(given: str | None, dag_run_id: str, *more: str) -> str:
    """The run's name in the lake: the same for every try and clear of a DAG run, another for each DAG run.

    Airflow's own name of a DAG run has colons and plus signs, which the lake takes no more than a slash.
    """
    name = given or re.sub(r"[^A-Za-z0-9_.-]+", "-", dag_run_id).strip("-.")
    return "-".join(filter(None, [*more, name]))[-MAX_RUN_ID:].lstrip("-_.")


def ingest(
    dataset: str, year: int, run_id: str, *, shape: str, max_files: int | None, fan_out_options: str = ""
) -> Command:
    """Fetch and prove a program year in one process, or spread over pods."""
    words = ["--dataset", dataset, "--year", str(year), "--run-id", run_id]
    words += ["--max-files", str(max_files)] if max_files else []
    if shape == "process":
        return ["run_pipeline", *words]
    return ["fan_out", *words, "--shape", shape, "--on-interrupt", "detach", *shlex.split(fan_out_options)]


def year_of(params: Mapping[str, Any], logical_date: datetime | None, now: datetime) -> int:
    """The program year of a DAG run: the one asked for, else the year before its logical date."""
    return int(params.get("year") or (logical_date or now).year - 1)


def of_year(
    params: Mapping[str, Any], year: int, dag_run_id: str, *, fan_out_options: str = ""
) -> list[dict[str, Command]]:
    """The commands of each dataset of a DAG run: ``ingest``, and by job those that follow once the marts are made.

    ``check_year`` is empty for a part of a year, which is never closed.
    """
    return [
        {
            "ingest": ingest(
                dataset,
                year,
                run_id_of(params.get("run_id"), dag_run_id, dataset, str(year)),
                shape=params.get("shape") or SHAPES[0],
                max_files=params.get("max_files"),
                fan_out_options=fan_out_options,
            ),
            "report": of_tables("report", dataset, year),
            "check_year": [] if params.get("max_files") else of_tables("check_year", dataset, year),
            **{job: of_tables(job, dataset, year) for job in AFTER_MARTS},
        }
        for dataset in datasets_of(params["dataset"])
    ]


def stage(run_id: str) -> Command:
    return ["stage", "--run-id", run_id]


def curate(run_id: str) -> Command:
    return ["build_curated", "--run-id", run_id]


def marts() -> Command:
    return ["build_marts"]


def of_tables(job: str, dataset: str, year: int) -> Command:
    """Of a job that reads what was made of a year."""
    return [job, "--dataset", dataset, "--year", str(year)]


def resolve(dataset: str) -> Command:
    return ["resolve_ids", "--dataset", dataset, "--refresh"]


def customers(run_id: str) -> Command:
    return ["ingest_customers", "--run-id", run_id]


def agency_files(agency_id: str, source_bucket: str, run_id: str) -> Command:
    return ["get_s3_files", "--agency-id", agency_id, "--source-bucket", source_bucket, "--run-id", run_id]


def changed(resolved: Mapping[tuple[str, int], str], in_lake: Mapping[tuple[str, int], str]) -> list[dict[str, Any]]:
    """The DAG run to trigger for each dataset's year whose tables are of another release than the source's.

    ``resolved`` has distribution ids, ``in_lake`` names of releases, which end in the first eight of its characters.
    """
    return [
        {
            "conf": {"dataset": dataset, "year": year},
            "trigger_run_id": f"release__{dataset}-{year}-{distribution[:8]}",
        }
        for (dataset, year), distribution in sorted(resolved.items())
        if (release := in_lake.get((dataset, year))) and not release.endswith(f"-{distribution[:8]}")
    ]


def shown(command: Iterable[str]) -> str:
    """A command as a person types it."""
    job, *arguments = command
    return shlex.join(["data-pipeline", "run", job, *(["--", *arguments] if arguments else [])])
