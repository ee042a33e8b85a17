"""The tables that follow from a dataset, on records that show each rule."""

import unittest
from decimal import Decimal
from typing import Any

import duckdb

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.contract import Contract
from data_pipeline.open_payments.datasets import DATASETS, GENERAL, OWNERSHIP, RESEARCH, Dataset
from data_pipeline.open_payments.tables import derived_tables

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment"
NAME = "name_of_drug_or_biological_or_device_or_medical_supply"


class TablesCase(unittest.TestCase):
    def setUp(self) -> None:
        self.database = self.enterContext(duckdb.connect())

    def tables(self, dataset: Dataset, *records: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """The derived tables of some records, which have NULL elsewhere; every equation holds."""
        columns = {
            one.title: sql.TYPES.get(one.kind, "VARCHAR") for one in Contract.from_toml(dataset.contract).columns
        }
        self.database.execute(f"CREATE OR REPLACE TABLE t ({', '.join(' '.join(one) for one in columns.items())})")
        for record in records:
            self.assertLessEqual(record.keys(), columns.keys())
            marks = ", ".join("?" * len(record))
            self.database.execute(f"INSERT INTO t ({', '.join(record)}) VALUES ({marks})", list(record.values()))
        found = {}
        for one in derived_tables(dataset):
            cursor = self.database.execute(one.select.format(source="t"))
            names = [column[0] for column in cursor.description or ()]
            found[one.name] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            self.database.execute(f"CREATE OR REPLACE TABLE made AS {one.select.format(source='t')}")
            check = one.check.format(source="t", table="made")
            self.assertEqual(self.database.execute(f"SELECT {check}").fetchall(), [(True,)], one.name)
        return found


def paid(record_id: str, date: str = "2024-05-01", amount: str = "10.00", **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id, "date_of_payment": date, "total_amount_of_payment_usdollars": Decimal(amount),
        f"{PAYER}_id": "53", f"{PAYER}_name": "A", "covered_recipient_profile_id": "1",
    } | more  # fmt: skip


class Products(TablesCase):
    def test_every_filled_slot_is_a_row_and_weights_count_each_amount_once(self):
        three = {f"{NAME}_1": "X", f"{NAME}_3": "Y", "covered_or_noncovered_indicator_5": "Covered"}
        rows = self.tables(GENERAL, paid("1", **three), paid("2"), paid("3", **{f"{NAME}_2": "X"}))["payment_products"]

        names = ("record_id", "slot", "position", "product", "products")
        self.assertEqual([tuple(one[name] for name in names) for one in rows], [
            ("1", 1, 1, "X", 3), ("1", 3, 2, "Y", 3), ("1", 5, 3, None, 3), ("3", 2, 1, "X", 1),
        ])  # fmt: skip
        self.assertAlmostEqual(sum(float(one["amount_usd"]) * one["weight"] for one in rows), 20.0)

    def test_ownership_has_none(self):
        self.assertEqual([one.name for one in derived_tables(OWNERSHIP)], ["companies", "recipients"])


class Names(TablesCase):
    def test_a_company_has_the_name_of_its_latest_record_and_of_several_the_one_with_the_greatest_id(self):
        named = f"{PAYER}_name"
        rows = self.tables(
            GENERAL,
            paid("9", "2024-03-01", **{named: "old"}),
            paid("10", "2024-06-01", **{named: "new, greater id"}),
            paid("9", "2024-06-01", **{named: "new"}),
            paid("11", "0002-11-30", **{named: "odd date"}),
            paid("5", **{f"{PAYER}_id": "54", named: "other"}),
        )["companies"]

        self.assertEqual([(one["company_id"], one["company_name"], one["payments"]) for one in rows], [
            ("53", "new, greater id", 4), ("54", "other", 1),
        ])  # fmt: skip

    def test_a_recipient_is_its_profile_else_its_hospital_else_nobody(self):
        rows = self.tables(
            RESEARCH,
            paid("1", covered_recipient_last_name="B"),
            paid("2", covered_recipient_profile_id=None, teaching_hospital_id="1", teaching_hospital_name="H"),
            paid("3", covered_recipient_profile_id=None, noncovered_recipient_entity_name="N"),
        )["recipients"]

        found = [(one["recipient_id"], one["id_kind"], one["last_name"], one["hospital_name"]) for one in rows]
        self.assertEqual(found, [("1", "profile", "B", None), ("1", "teaching_hospital", None, "H")])

    def test_ownership_without_dates_takes_the_greatest_id(self):
        same = {"physician_profile_id": "1", f"{PAYER}_id": "53"}
        rows = self.tables(
            OWNERSHIP,
            same | {"record_id": "9", "physician_specialty": "old", "value_of_interest": 1},
            same | {"record_id": "10", "physician_specialty": "new", "value_of_interest": 2},
        )["recipients"]

        self.assertEqual([(one["specialty"], one["amount_usd"]) for one in rows], [("new", Decimal(3))])


class EveryDataset(TablesCase):
    def test_has_its_tables_also_without_records(self):
        for dataset in DATASETS.values():
            with self.subTest(dataset=dataset.name):
                contract = Contract.from_toml(dataset.contract)
                columns = ", ".join(
                    f"NULL::{sql.TYPES.get(one.kind, 'VARCHAR')} AS {one.title}" for one in contract.columns
                )
                source = f"(SELECT {columns} WHERE false)"
                for one in derived_tables(dataset):
                    self.assertEqual(duckdb.execute(one.select.format(source=source)).fetchall(), [])
