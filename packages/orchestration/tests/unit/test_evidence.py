"""Commit documents of the lake, found by the keys that the jobs write."""

from __future__ import annotations

import json
import unittest
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.lake_layout import lakehouse as keys
from etl_core.errors import DataError
from etl_core.testing import MemoryStore
from orchestration import evidence

RELEASE = {"dataset": "general-payments", "year": 2023, "distribution_id": "aaaaaaaa-1111", "modified": "2026-01-30"}
SCOPE = lake_layout.open_payments.year_scope("general-payments", 2023)


class Lake(unittest.TestCase):
    def setUp(self):
        self.store = MemoryStore()

    def put(self, key: str, **document: Any) -> None:
        self.store.put(key, json.dumps(document).encode())

    def run_of(self, run_id: str, **manifest: Any) -> None:
        self.put(lake_layout.runs.plan(run_id), run_id=run_id)
        if manifest:
            self.put(lake_layout.runs.manifest(run_id), run_id=run_id, release=RELEASE, rows=7, **manifest)

    def build(self, number: int, **document: Any) -> None:
        self.put(keys.build_manifest(SCOPE, number), dataset="general-payments", year=2023, **document)


class OfARun(Lake):
    command = ("run_pipeline", "--dataset", "general-payments", "--year", "2023", "--run-id", "r")

    def test_a_completed_run_is_evidence_with_its_release_and_manifest(self):
        self.run_of("r", status="completed")

        found = evidence.evidence_of(self.store, self.command)

        assert found is not None
        self.assertEqual(
            (found["run_id"], found["rows"], found["release"], found["manifest"]),
            ("r", 7, "2026-01-30-aaaaaaaa", lake_layout.runs.manifest("r")),
        )

    def test_neither_an_open_nor_a_partial_run_is(self):
        for manifest in ({}, {"status": "partial"}, {"status": "torn"}):
            with self.subTest(manifest=manifest):
                self.run_of("r", **manifest)
                self.assertIsNone(evidence.evidence_of(self.store, self.command))

    def test_of_several_runs_of_one_name_the_last_one_counts(self):
        self.run_of("r", status="partial")
        self.run_of("r-2", status="completed")

        found = evidence.evidence_of(self.store, self.command)

        self.assertEqual(found and found["run_id"], "r-2")
        self.run_of("r-3")
        self.assertIsNone(evidence.evidence_of(self.store, self.command))


class OfTables(Lake):
    def test_a_build_is_evidence_for_the_run_that_it_was_made_of(self):
        self.build(1, run_id="old", rows=1, release="2026-01-30-aaaaaaaa")
        self.build(2, run_id="r", rows=2, release="2026-01-30-aaaaaaaa")

        found = evidence.evidence_of(self.store, ("build_curated", "--run-id", "r"))

        self.assertEqual(found and (found["rows"], found["manifest"]), (2, keys.build_manifest(SCOPE, 2)))
        self.assertIsNone(evidence.evidence_of(self.store, ("build_curated", "--run-id", "old")))

    def test_the_newest_marts_are_referred_to(self):
        for number in (1, 2):
            self.put(keys.numbered(keys.MARTS_BUILDS, number), build=f"b{number}")

        found = evidence.evidence_of(self.store, ("build_marts",))

        self.assertEqual(found and found["build"], "b2")

    def test_a_damaged_document_is_named(self):
        self.store.put("metadata/runs/run_id=r/plan.json", b"{}")
        self.store.put("metadata/runs/run_id=r/manifest.json", b"[" * 100_000)

        with self.assertRaisesRegex(DataError, "run_id=r/manifest.json .* is damaged"):
            evidence.evidence_of(self.store, ("run_pipeline", "--run-id", "r"))

    def test_a_step_that_commits_nothing_of_its_own_has_none(self):
        for command in (("stage", "--run-id", "r"), ("check_year", "--year", "2023"), ("report", "--year", "2023")):
            self.assertIsNone(evidence.evidence_of(self.store, command))


class Releases(Lake):
    def test_those_of_the_tables_and_of_the_source_are_read_by_dataset_and_year(self):
        self.build(1, run_id="r", release="2026-01-30-aaaaaaaa")
        entry = {"release": RELEASE, "resolved_at": "2026-11-30T00:00:00Z"}
        self.put(lake_layout.open_payments.DATASET_IDS_CACHE, datasets={"general-payments": {"years": {"2023": entry}}})

        self.assertEqual(evidence.releases_in(self.store), {("general-payments", 2023): "2026-01-30-aaaaaaaa"})
        self.assertEqual(evidence.releases_resolved(self.store), {("general-payments", 2023): "aaaaaaaa-1111"})

    def test_an_empty_lake_has_none(self):
        self.assertEqual((evidence.releases_in(self.store), evidence.releases_resolved(self.store)), ({}, {}))
