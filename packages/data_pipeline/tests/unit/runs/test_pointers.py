import unittest

from data_pipeline import lake_layout
from data_pipeline.runs import pointers
from packages.data_pipeline.tests.unit.runs.pages import (
    START,
    Sweep,
)

LIST = "metadata/runs/run_id=r1/file_audits.jsonl"


class Selections(unittest.TestCase):
    def test_keep_their_name_when_a_later_version_can_be_asked_for_more(self):
        class Later(Sweep):
            since: str | None = None

        self.assertEqual(pointers.hash_of(Later(listing="people")), pointers.hash_of(Sweep(listing="people")))
        self.assertNotEqual(
            pointers.hash_of(Later(listing="people", since="2026")), pointers.hash_of(Sweep(listing="people"))
        )


class Moments(unittest.TestCase):
    def test_of_pointers_come_back_to_the_microsecond(self):
        moment = START.replace(microsecond=123457)
        key = lake_layout.runs.pointer("metadata/selections/all/", moment, "r1")

        self.assertEqual(lake_layout.runs.run_of_pointer(key), ("r1", moment))
        self.assertIsNone(lake_layout.runs.run_of_pointer("metadata/selections/all/r1"))
