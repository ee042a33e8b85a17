import unittest

import duckdb

from data_pipeline.jobs import _tables as tables
from data_pipeline.lakehouse.columns import columns_of
from data_pipeline.lakehouse.warehouse import LONGEST_NAME, Loaded, plain, quoted, short
from etl_core.errors import DataError
from packages.data_pipeline.tests.unit.folder_case import FolderCase


class Names(FolderCase):
    def test_of_columns_fit_postgresql_and_stay_different(self):
        cut = set()
        for of_dataset in columns_of({one.dataset: one for one in tables.sources_of_marts()}, self.folder).values():
            for columns in of_dataset.values():
                self.assertEqual(len({short(name) for name in columns}), len(columns))
                cut |= {name for name in columns if len(name.encode()) > LONGEST_NAME}
        self.assertEqual(
            cut,
            {
                "name_of_third_party_entity_receiving_payment_or_transfer_of_value",
                "applicable_manufacturer_or_applicable_gpo_making_payment_country",
            },
        )

    def test_of_the_tables_of_a_build_are_its_own(self):
        one, newer = (Loaded("general-payments", 2024, "a", build) for build in ("0000000a", "0000000b"))

        self.assertEqual(one.name("companies"), "companies_general_payments_2024_0000000a")
        self.assertTrue(one.is_former("companies", newer.name("companies")))
        for name in (one.name("companies"), newer.name("recipients"), "companies"):
            self.assertFalse(one.is_former("companies", name))


class Plain(unittest.TestCase):
    def test_what_would_need_an_escape_somewhere_is_refused(self):
        self.assertEqual(plain("2026-06-30-9323b84e"), "2026-06-30-9323b84e")
        for text in ("it's", "back\\slash", "a\nb", '"'):
            with self.subTest(text), self.assertRaisesRegex(DataError, "cannot stand in a statement"):
                plain(text)


class AnyText(unittest.TestCase):
    def test_is_itself_to_a_database_and_has_nothing_between_quotes_that_some_read_otherwise(self):
        for text in ("", "Acme", "it's", "back\\slash", "a\nb\t'", ":x ::y", "é\u202e", "'; DROP TABLE t; --"):
            with self.subTest(text):
                self.assertEqual(duckdb.sql(f"SELECT {quoted(text)}").fetchall(), [(text or None,)])
                self.assertNotRegex(quoted(text), r"[\n\t\\:]")
        self.assertEqual(quoted("a\0b"), quoted("ab"))
