"""The contracts of the datasets: data, whose rules must be ones that DuckDB and our own code can apply."""

import unittest

import duckdb

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.contract import Contract
from data_pipeline.open_payments.datasets import DATASETS, GENERAL, OWNERSHIP


class EveryContract(unittest.TestCase):
    def each(self):
        for dataset in DATASETS.values():
            with self.subTest(dataset=dataset.name):
                yield dataset, Contract.from_toml(dataset.contract)

    def test_is_of_its_dataset(self):
        for dataset, contract in self.each():
            self.assertEqual((contract.name, contract.header), (dataset.table, dataset.header))
            self.assertEqual((contract.key, contract.order[0]), (dataset.record_id_column, dataset.payer_column))

    def test_has_rules_that_can_be_applied(self):
        for _, contract in self.each():
            values = ", ".join(f"NULL::VARCHAR AS {sql.name(one)}" for one in contract.header)
            rules = [one for action in ("quarantine", "flag", "drift") for one in sql.rules(contract, action)]
            checks = ", ".join(sql.violation(column, rule) for column, rule in rules)
            row = duckdb.execute(f"SELECT {checks} FROM (SELECT {values})").fetchall()[0]
            violated = {rule for (_, rule), is_violated in zip(rules, row, strict=True) if is_violated}
            self.assertEqual(violated, {"required"})  # an empty field violates no other rule

    def test_keeps_ids_as_text_and_quarantines_no_odd_value(self):
        for _, contract in self.each():
            kinds = {one.kind for one in contract.columns if one.name.endswith(("_ID", "_NPI", "NDC_1", "Zip_Code"))}
            self.assertEqual(kinds, {"id"})
            self.assertEqual({one.action("range") for one in contract.amounts}, {"flag"})

    def test_knows_the_former_headers(self):
        widths = {dataset.name: [era.columns for era in contract.eras] for dataset, contract in self.each()}

        self.assertEqual(
            widths,
            {
                "general-payments": [63, 65, 66, 75],
                "research-payments": [68, 166, 172, 176],
                "ownership-payments": [28, 29],
            },
        )


class FormerHeaders(unittest.TestCase):
    def test_that_of_the_first_ownership_files_is_refused_by_name(self):
        contract = Contract.from_toml(OWNERSHIP.contract)
        former = [one for one in contract.header if one != "Physician_NPI"]

        self.assertEqual(getattr(contract.era_of(former), "name", None), "ownership 29: PY2013-2014 archived")
        self.assertTrue(contract.drift(former).breaking)

    def test_the_date_of_the_year_2_and_a_royalty_of_400_million_are_flagged(self):
        contract = {one.name: one for one in Contract.from_toml(GENERAL.contract).columns}
        for name, text in (
            ("Date_of_Payment", "11/30/0002"),
            ("Total_Amount_of_Payment_USDollars", "400000000.00"),
            ("Total_Amount_of_Payment_USDollars", "0.00"),
        ):
            with self.subTest(text=text):
                column = contract[name]
                cases = [
                    f"CASE WHEN {sql.violation(column, rule)} THEN '{rule}' END AS {rule}_it" for rule in column.rules
                ]
                row = duckdb.execute(f"SELECT {', '.join(cases)} FROM (SELECT '{text}' AS {name})").fetchall()[0]
                self.assertEqual([one for one in row if one], ["range"])
