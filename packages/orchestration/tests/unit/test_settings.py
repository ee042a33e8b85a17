"""Section ``[data_pipeline]`` of Airflow's configuration."""

from __future__ import annotations

import unittest

from orchestration.settings import Settings


class TheSettings(unittest.TestCase):
    def test_without_options_jobs_are_processes(self):
        self.assertEqual((Settings().place, Settings().program), ("process", "data-pipeline"))

    def test_an_unknown_place_is_named(self):
        with self.assertRaisesRegex(ValueError, "place = moon"):
            Settings(place="moon")
