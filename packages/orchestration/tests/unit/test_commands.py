"""Every step's command is one that the job's own parser takes; no Airflow is needed to know it."""

from __future__ import annotations

import unittest
from datetime import UTC, datetime
from typing import Any

import click

from data_pipeline.lake_layout.ids import is_run_id
from data_pipeline.open_payments.datasets import DATASETS
from data_pipeline.registry import Registry
from orchestration import commands

JULY = datetime(2024, 7, 2, 6, tzinfo=UTC)
PARAMS = {"dataset": "all", "year": None, "run_id": None, "shape": "process", "max_files": None}


def parsed(command: commands.Command) -> dict[str, Any]:
    """The values that the job gets; a usage error if its parser refuses."""
    job, *arguments = command
    found = Registry().load(job).module.command
    assert isinstance(found, click.Command)
    return found.make_context(job, list(arguments)).params


class EveryCommand(unittest.TestCase):
    def test_each_step_of_a_year_is_taken_by_its_job(self):
        for shape in commands.SHAPES:
            params = {**PARAMS, "shape": shape, "max_files": 2}
            options = "--image etl:1 --env-from configmap/data-pipeline-settings"
            for planned in commands.of_year(
                params, 2023, "scheduled__2024-07-02T06:00:00+00:00", fan_out_options=options
            ):
                with self.subTest(shape=shape, planned=planned):
                    self.assertEqual(parsed(planned["report"])["year"], 2023)
                    given = parsed(planned["ingest"])
                    self.assertEqual((given["year"], given["max_files"]), (2023, 2))

    def test_each_other_step_is_taken_by_its_job(self):
        for command in (
            commands.stage("a-run"),
            commands.curate("a-run"),
            commands.marts(),
            *(commands.of_tables(job, "research-payments", 2023) for job in ("report", "check_year")),
            commands.resolve("general-payments"),
            commands.customers("a-run"),
            commands.agency_files("10", "s3://agency/files", "a-run"),
        ):
            with self.subTest(command=command):
                parsed(command)

    def test_each_optional_step_is_taken_by_its_job(self):
        (planned,) = commands.of_year({**PARAMS, "dataset": "general-payments"}, 2023, "r")

        for job in commands.AFTER_MARTS:
            with self.subTest(job=job):
                self.assertEqual(planned[job], [job, "--dataset", "general-payments", "--year", "2023"])
                self.assertEqual(parsed(planned[job])["year"], 2023)

    def test_the_datasets_are_those_of_the_jobs(self):
        self.assertEqual(set(commands.DATASETS), set(DATASETS))

    def test_a_part_of_a_year_is_not_checked_as_a_year(self):
        whole = commands.of_year(PARAMS, 2023, "r")
        part = commands.of_year({**PARAMS, "max_files": 2}, 2023, "r")

        self.assertEqual({one["check_year"][0] for one in whole}, {"check_year"})
        self.assertEqual([one["check_year"] for one in part], [[], [], []])


class TheYear(unittest.TestCase):
    def test_it_is_the_one_before_the_logical_date_unless_one_is_asked_for(self):
        self.assertEqual(commands.year_of(PARAMS, JULY, JULY), 2023)
        self.assertEqual(commands.year_of(PARAMS, None, JULY), 2023)
        self.assertEqual(commands.year_of({**PARAMS, "year": 2019}, JULY, JULY), 2019)


class TheRunId(unittest.TestCase):
    def test_the_lake_takes_it_and_the_number_behind_it_whatever_airflow_calls_the_dag_run(self):
        for dag_run in (
            "scheduled__2024-07-02T06:00:00+00:00",
            "manual__2026-11-30T18:15:01.123456+00:00_a/../b",
            "ü",
            "",
        ):
            with self.subTest(dag_run=dag_run):
                name = commands.run_id_of(None, dag_run, "ownership-payments", "2023")

                self.assertTrue(is_run_id(f"{name}-999"), name)

    def test_it_is_the_same_for_every_try_and_another_for_each_dataset_and_dag_run(self):
        one, again = (commands.of_year(PARAMS, 2023, "backfill__2024-07-02T06:00:00+00:00") for _ in range(2))
        other = commands.of_year(PARAMS, 2023, "backfill__2025-07-02T06:00:00+00:00")

        self.assertEqual(one, again)
        self.assertEqual(len({run["ingest"][-1] for run in (*one, *other)}), 6)

    def test_one_that_is_given_is_kept(self):
        (planned,) = commands.of_year({**PARAMS, "dataset": "general-payments", "run_id": "mine"}, 2023, "manual__x")

        self.assertEqual(planned["ingest"][-1], "general-payments-2023-mine")


class ChangedReleases(unittest.TestCase):
    def test_only_years_whose_tables_are_of_another_release_are_run_again(self):
        resolved = {
            ("general-payments", 2022): "aaaaaaaa-1111",
            ("general-payments", 2023): "bbbbbbbb-2222",
            ("general-payments", 2024): "cccccccc-3333",
        }
        in_lake = {
            ("general-payments", 2022): "2026-01-30-aaaaaaaa",
            ("general-payments", 2023): "2026-01-30-99999999",
        }

        self.assertEqual(
            commands.changed(resolved, in_lake),
            [
                {
                    "conf": {"dataset": "general-payments", "year": 2023},
                    "trigger_run_id": "release__general-payments-2023-bbbbbbbb",
                }
            ],
        )


class Shown(unittest.TestCase):
    def test_a_command_is_shown_as_a_person_types_it(self):
        self.assertEqual(commands.shown(["stage", "--run-id", "a b"]), "data-pipeline run stage -- --run-id 'a b'")
        self.assertEqual(commands.shown(["build_marts"]), "data-pipeline run build_marts")


class TheSubjectOfACommand(unittest.TestCase):
    def test_a_mapped_task_is_known_by_its_dataset(self):
        run = "research-payments-2024-scheduled__2025-07-02"
        for command, subject in (
            (["report", "--dataset", "general-payments", "--year", "2024"], "general-payments"),
            (["stage", "--run-id", run], "research-payments"),
            (["build_marts"], ""),
            ([], ""),
        ):
            with self.subTest(command=command):
                self.assertEqual(commands.subject_of(command), subject)
