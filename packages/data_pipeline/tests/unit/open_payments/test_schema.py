import unittest
from typing import Any

from data_pipeline.open_payments.datasets import GENERAL, OWNERSHIP
from data_pipeline.open_payments.schema import Columns, Drift, drift_from
from data_pipeline.open_payments.windows import Window
from etl_core.errors import DataError
from packages.data_pipeline.tests.unit.fakes import DATE_OF_PAYMENT, PAYER_ID, RECORD_ID


class TheColumns(unittest.TestCase):
    def test_find_the_machine_name_of_a_title(self):
        columns = Columns(GENERAL, titles=("A b", "C"), names=("a_b", "c"))

        self.assertEqual((columns.name_of("A b"), columns.name_of("C")), ("a_b", "c"))

    def test_find_the_machine_names_that_queries_of_the_dataset_need(self):
        columns = Columns(GENERAL, (RECORD_ID, DATE_OF_PAYMENT, PAYER_ID), ("key", "day", "payer"))

        self.assertEqual((columns.payer, columns.date, columns.record_id), ("payer", "day", "key"))

    def test_say_which_title_they_lack(self):
        with self.assertRaisesRegex(DataError, "the table has no column Record_ID"):
            _ = Columns(GENERAL, titles=("A",), names=("record_id",)).record_id

    def test_lack_what_a_proof_needs_by_the_dataset(self):
        for dataset, missing in [
            (GENERAL, [DATE_OF_PAYMENT, "Program_Year", RECORD_ID]),
            (OWNERSHIP, ["Program_Year", RECORD_ID]),
        ]:
            with self.subTest(dataset=dataset.name):
                self.assertEqual(Columns(dataset, (PAYER_ID,), ("payer",)).missing, missing)


class TheLayout(unittest.TestCase):
    def layout(self, dataset: Any, window: Window) -> Any:
        return Columns(dataset, dataset.header, dataset.header).layout(2024, "53", window)

    def test_of_a_whole_slice_leaves_the_dates_alone(self):
        for dataset in (GENERAL, OWNERSHIP):
            with self.subTest(dataset=dataset.name):
                layout = self.layout(dataset, Window(1, 1, "", ""))
                self.assertIsNone(layout.between)
                self.assertEqual(layout.equal, {dataset.payer_column: "53", "Program_Year": "2024"})
                self.assertEqual((layout.key, layout.volatile), (dataset.record_id_column, dataset.volatile_columns))

    def test_of_a_window_holds_its_dates(self):
        layout = self.layout(GENERAL, Window(1, 2, "", "07/02"))

        self.assertEqual(layout.between, (DATE_OF_PAYMENT, "", "07/02"))

    def test_of_a_window_is_refused_without_a_payment_date(self):
        with self.assertRaisesRegex(DataError, "has no payment date"):
            self.layout(OWNERSHIP, Window(1, 2, "", "07/02"))


class DriftFrom(unittest.TestCase):
    def test_tells_what_came_went_and_moved(self):
        known = ("a", "b", "c", "d")
        for found, drift in [
            (known, Drift()),
            (("a", "b", "c", "d", "e"), Drift(added=("e",))),
            (("x", "a", "b", "y", "c", "d"), Drift(added=("x", "y"))),
            (("a", "d"), Drift(removed=("b", "c"))),
            (("b", "a", "c", "d"), Drift(reordered=True)),
            (("d", "e", "a"), Drift(added=("e",), removed=("b", "c"), reordered=True)),
        ]:
            with self.subTest(found=found):
                self.assertEqual(drift_from(known, found), drift)

    def test_is_true_only_if_there_is_some(self):
        self.assertFalse(Drift())
        for drift in (Drift(added=("a",)), Drift(removed=("a",)), Drift(reordered=True)):
            with self.subTest(drift=drift):
                self.assertTrue(drift)
