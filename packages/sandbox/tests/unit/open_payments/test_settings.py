"""Settings are values: what can be switched gives a new one."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from unittest import TestCase

from sandbox.open_payments.settings import Settings
from sandbox.open_payments.source import STAGES

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


class SettingsTest(TestCase):
    def test_run_time_settings_can_be_switched(self):
        changed = Settings().switched({"dialect": "A", "rows_limit": 9})
        self.assertEqual((changed.dialect, changed.rows_limit), ("A", 9))
        self.assertEqual(Settings().dialect, "B")

    def test_what_makes_the_world_cannot(self):
        for name in ("years", "scale", "company_rows", "port", "colour"):
            with self.subTest(name=name), self.assertRaisesRegex(ValueError, name):
                Settings().switched({name: 1})


class ReadmeTest(TestCase):
    def test_every_setting_and_fault_is_in_the_readme(self):
        for name in (*(item.name for item in fields(Settings)), *STAGES):
            with self.subTest(name=name):
                self.assertIn(f"`{name}`", README)
