import unittest

from data_pipeline.open_payments.schema import (
    DATE_OF_PAYMENT,
    GENERAL_PAYMENTS,
    PAYER_ID,
    RECORD_ID,
    VOLATILE,
    Columns,
    Drift,
    drift_from,
)
from etl_core.errors import DataError


class GeneralPayments(unittest.TestCase):
    def test_has_91_columns_each_once(self):
        self.assertEqual((len(GENERAL_PAYMENTS), len(set(GENERAL_PAYMENTS))), (91, 91))

    def test_begins_and_ends_with_the_columns_that_say_nothing_of_a_record(self):
        self.assertEqual({GENERAL_PAYMENTS[0], GENERAL_PAYMENTS[-1]}, VOLATILE)

    def test_holds_what_the_proof_needs_where_the_source_has_it(self):
        places = {name: GENERAL_PAYMENTS.index(name) for name in (PAYER_ID, DATE_OF_PAYMENT, RECORD_ID)}

        self.assertEqual(places, {PAYER_ID: 37, DATE_OF_PAYMENT: 42, RECORD_ID: 56})


class TheColumns(unittest.TestCase):
    def test_find_the_machine_name_of_a_title(self):
        columns = Columns(titles=("A b", "C"), names=("a_b", "c"))

        self.assertEqual((columns.name_of("A b"), columns.name_of("C")), ("a_b", "c"))

    def test_say_which_title_they_lack(self):
        with self.assertRaisesRegex(DataError, "the table has no column Record_ID"):
            Columns(titles=("A",), names=("record_id",)).name_of(RECORD_ID)


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
