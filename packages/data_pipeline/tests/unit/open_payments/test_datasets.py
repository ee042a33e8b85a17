import unittest

from data_pipeline.open_payments.datasets import DATASETS, GENERAL, OWNERSHIP, RESEARCH, dataset_named
from data_pipeline.open_payments.windows import ROWS_PER_WINDOW, cut, tiles
from etl_core.errors import DataError


class EveryDataset(unittest.TestCase):
    def test_is_found_by_its_name(self):
        for name, dataset in DATASETS.items():
            with self.subTest(dataset=name):
                self.assertIs(dataset_named(name), dataset)
                self.assertEqual(dataset.name, name)
        with self.assertRaisesRegex(DataError, "'lobbying' is no dataset known here; known are general-payments, "):
            dataset_named("lobbying")

    def test_has_the_columns_that_its_proofs_need(self):
        for name, dataset in DATASETS.items():
            with self.subTest(dataset=name):
                needed = dataset.required_columns | dataset.volatile_columns
                self.assertLessEqual(needed | {dataset.publication_date_column}, set(dataset.header))
                self.assertEqual(len(set(dataset.header)), len(dataset.header))

    def test_is_told_from_the_others_by_its_title(self):
        for name, dataset in DATASETS.items():
            for title in (f"2024 {dataset.title}", f"2024 \u2013 {dataset.title}", f" 2024 - {dataset.title}\n"):
                with self.subTest(dataset=name, title=title):
                    self.assertEqual([one for one in DATASETS.values() if one.year_in(title)], [dataset])
                    self.assertEqual(dataset.year_in(title), 2024)

    def test_differs_from_the_others_in_what_the_source_calls_it(self):
        for field in ("title", "reference_column", "header"):
            with self.subTest(field=field):
                self.assertEqual(len({getattr(one, field) for one in DATASETS.values()}), len(DATASETS))


class TheFigures(unittest.TestCase):
    def test_the_headers_are_those_of_the_published_files(self):
        widths = {name: len(dataset.header) for name, dataset in DATASETS.items()}

        self.assertEqual(widths, {"general-payments": 91, "research-payments": 252, "ownership-payments": 30})

    def test_the_columns_stand_where_the_published_files_have_them(self):
        for dataset, payer, record_id in [(GENERAL, 37, 56), (RESEARCH, 198, 246), (OWNERSHIP, 23, 17)]:
            with self.subTest(dataset=dataset.name):
                found = [dataset.header.index(one) for one in (dataset.payer_column, dataset.record_id_column)]
                self.assertEqual(found, [payer, record_id])

    def test_a_record_of_research_has_the_size_of_the_published_file(self):
        self.assertEqual(RESEARCH.bytes_per_row, round(1_034_644_732 / 1_080_157))


class Cutting(unittest.TestCase):
    def test_a_slice_without_a_payment_date_is_never_split(self):
        for rows in (0, ROWS_PER_WINDOW + 1, 10_000_000):
            with self.subTest(rows=rows):
                self.assertEqual(OWNERSHIP.cut(rows), tiles(1))

    def test_a_slice_with_a_payment_date_is_split_by_its_rows(self):
        for dataset in (GENERAL, RESEARCH):
            with self.subTest(dataset=dataset.name):
                self.assertEqual(dataset.cut(ROWS_PER_WINDOW + 1), cut(ROWS_PER_WINDOW + 1))


class IsIncomplete(unittest.TestCase):
    def test_a_table_may_lack_as_much_as_the_tolerance(self):
        for dataset, least in [(GENERAL, 980), (RESEARCH, 900), (OWNERSHIP, 900)]:
            for rows, incomplete in [(1001, False), (least, False), (least - 1, True), (0, True)]:
                with self.subTest(dataset=dataset.name, rows=rows):
                    self.assertEqual(dataset.is_incomplete(rows, 1000), incomplete)

    def test_nothing_is_incomplete_without_a_reference_count(self):
        self.assertFalse(GENERAL.is_incomplete(0, None))
