"""Section ``[data_pipeline]`` of Airflow's configuration."""

from __future__ import annotations

import unittest

from orchestration.settings import Settings


class FromSection(unittest.TestCase):
    def test_without_options_jobs_are_processes(self):
        self.assertEqual(Settings.from_section({}), Settings())
        self.assertEqual((Settings().place, Settings().program), ("process", "data-pipeline"))

    def test_values_come_as_airflow_reads_them(self):
        found = Settings.from_section({"place": "kubernetes", "agency_id": 7})

        self.assertEqual((found.place, found.agency_id), ("kubernetes", "7"))

    def test_a_misspelt_option_and_an_unknown_place_are_named(self):
        for given, words in (({"plaice": "process"}, "plaice"), ({"place": "moon"}, "place = moon")):
            with self.subTest(given=given), self.assertRaisesRegex(ValueError, words):
                Settings.from_section(given)
