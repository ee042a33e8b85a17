import re
import unittest

from data_pipeline.open_payments.datasets import GENERAL, OWNERSHIP
from data_pipeline.open_payments.schema import Columns
from data_pipeline.open_payments.source import query
from data_pipeline.open_payments.source.query import Condition
from data_pipeline.open_payments.windows import Window
from etl_core.errors import DataError
from packages.data_pipeline.tests.unit.fakes import DATE_OF_PAYMENT, PAYER_ID

COLUMNS = Columns(GENERAL, (PAYER_ID, DATE_OF_PAYMENT), ("payer", "day"))
WHOLE = query.conditions_of(COLUMNS, "100000000053")


class Conditions(unittest.TestCase):
    def test_conditions_of_a_slice_name_the_payer(self):
        self.assertEqual(WHOLE, (Condition("payer", "=", "100000000053"),))

    def test_conditions_of_a_window_add_its_edges_where_it_has_them(self):
        low, high = Condition("day", ">=", "04/02"), Condition("day", "<", "07/02")

        for window, added in [
            (Window(1, 1, "", ""), ()),
            (Window(1, 3, "", "07/02"), (high,)),
            (Window(2, 3, "04/02", "07/02"), (low, high)),
            (Window(3, 3, "04/02", ""), (low,)),
        ]:
            with self.subTest(window=window):
                self.assertEqual(query.conditions_of(COLUMNS, "100000000053", window), (*WHOLE, *added))

    def test_conditions_of_a_window_need_a_payment_date(self):
        undated = Columns(OWNERSHIP, (PAYER_ID,), ("payer",))

        self.assertEqual(query.conditions_of(undated, "100000000053", Window(1, 1, "", "")), WHOLE)
        with self.assertRaisesRegex(DataError, "ownership-payments has no payment date"):
            query.conditions_of(undated, "100000000053", Window(1, 2, "", "07/02"))

    def test_conditions_read_as_one_line(self):
        conditions = query.conditions_of(COLUMNS, "100000000053", Window(2, 3, "04/02", "07/02"))

        self.assertEqual(query.describe(conditions), "payer = 100000000053 and day >= 04/02 and day < 07/02")
        self.assertEqual(query.describe(()), "all rows")


class Parameters(unittest.TestCase):
    """Unknown parameters are ignored by the source, so each list is given here to the letter."""

    payer = (
        ("conditions[0][property]", "payer"),
        ("conditions[0][operator]", "="),
        ("conditions[0][value]", "100000000053"),
    )

    def test_parameters_of_a_count_ask_for_no_rows(self):
        flags = [("results", "false"), ("count", "true"), ("schema", "false")]

        self.assertEqual(query.count_params(WHOLE), [*self.payer, *flags])
        self.assertEqual(query.count_params(), flags)

    def test_parameters_of_a_probe_ask_for_no_rows_and_the_schema(self):
        self.assertEqual(query.probe_params(), [("results", "false"), ("count", "true"), ("schema", "true")])

    def test_parameters_of_a_grouped_count_group_and_sort_by_the_column(self):
        self.assertEqual(
            query.grouped_count_params("day", "record", WHOLE, 500),
            [
                *self.payer,
                ("properties[0]", "day"),
                ("properties[1][expression][operator]", "count"),
                ("properties[1][expression][operands][0]", "record"),
                ("properties[1][alias]", "rows"),
                ("groupings[0]", "day"),
                ("sorts[0][property]", "day"),
                ("sorts[0][order]", "asc"),
                ("limit", "500"),
                ("offset", "500"),
                ("count", "false"),
                ("schema", "false"),
            ],
        )

    def test_parameters_of_a_sum_ask_for_one_number(self):
        self.assertEqual(
            query.sum_params("trans_general", WHOLE),
            [
                *self.payer,
                ("properties[0][expression][operator]", "sum"),
                ("properties[0][expression][operands][0]", "trans_general"),
                ("properties[0][alias]", "rows"),
                ("count", "false"),
                ("schema", "false"),
            ],
        )

    def test_parameters_of_a_page_of_rows_name_order_and_offset(self):
        self.assertEqual(
            query.rows_params(("record", "day"), WHOLE, sort="record", offset=1000, limit=7),
            [
                *self.payer,
                ("properties[0]", "record"),
                ("properties[1]", "day"),
                ("sorts[0][property]", "record"),
                ("sorts[0][order]", "asc"),
                ("limit", "7"),
                ("offset", "1000"),
                ("count", "false"),
                ("schema", "false"),
            ],
        )
        self.assertEqual(
            query.rows_params(("record",), sort="day")[1:5],
            [("sorts[0][property]", "day"), ("sorts[0][order]", "asc"), ("limit", "500"), ("offset", "0")],
        )

    def test_parameters_of_a_download_in_one_answer_name_neither_order_nor_page(self):
        self.assertEqual(query.download_params(WHOLE), [*self.payer, ("format", "csv"), ("count", "false")])

    def test_parameters_of_a_download_in_pages_name_both(self):
        """S1.4: limit and offset; sorted, for the source has no order of its own."""
        self.assertEqual(
            query.download_params(WHOLE, sort="record", limit=5000, offset=10_000),
            [
                *self.payer,
                ("format", "csv"),
                ("count", "false"),
                ("sorts[0][property]", "record"),
                ("sorts[0][order]", "asc"),
                ("limit", "5000"),
                ("offset", "10000"),
            ],
        )

    def test_parameters_number_php_arrays_from_zero_without_gaps_and_in_order(self):
        """With a gap, or 10 before 2, PHP makes an object of them and the source answers 400."""
        conditions = tuple(Condition(f"p{number}", "=", "v") for number in range(12))
        columns = tuple(f"c{number}" for number in range(12))

        params = query.rows_params(columns, conditions, sort="c0")

        for name, size in [("conditions", 36), ("properties", 12)]:
            with self.subTest(array=name):
                indexes = [int(found[1]) for key, _ in params if (found := re.match(rf"{name}\[(\d+)\]", key))]
                self.assertEqual(indexes, sorted(list(range(12)) * (size // 12)))
