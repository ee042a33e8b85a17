import unittest

from data_pipeline.agency_files.documents import CONTRACT as AGENCY_FILES
from data_pipeline.customers.columns import CONTRACT as CUSTOMERS
from data_pipeline.lakehouse import spark_sql as sql
from data_pipeline.lakehouse.contract import Column, Contract, Rule
from data_pipeline.open_payments.datasets import DATASETS
from etl_core.errors import DataError
from packages.data_pipeline.tests.unit.lakehouse.tables import CONTRACT

COLUMNS = {one.name: one for one in CONTRACT.columns}


def a_column(**said: object) -> Column:
    return Column.model_validate({"name": "It", "kind": "text", **said})


class Texts(unittest.TestCase):
    def test_a_text_stays_within_its_quotes(self):
        for text, literal in (
            ("it's", r"'it\'s'"),
            (r"a\d", r"'a\\d'"),
            ("\\'; DROP TABLE t; --", r"'\\\'; DROP TABLE t; --'"),
            ("${env:HOME}", "'${env:HOME}'"),
        ):
            with self.subTest(text=text):
                self.assertEqual(sql.literal(text), literal)
        self.assertEqual(sql.name("a`b"), "`a``b`")

    def test_names_and_hashes_of_parts_are_a_table(self):
        self.assertEqual(
            sql.named({"file:/it's": ("raw/a", "5a")}),
            r"SELECT * FROM VALUES ('file:/it\'s', 'raw/a', '5a') AS named(_file, _part, _part_sha256)",
        )


class Expressions(unittest.TestCase):
    def test_a_pattern_matches_the_whole_text_in_java_too(self):
        self.assertEqual(sql.matches(COLUMNS["State"]), r"`State` RLIKE '\\A(?:[A-Z]{2})\\z'")

    def test_a_blank_is_what_it_is_for_duckdb(self):
        self.assertEqual(sql.matches(a_column(pattern=r"[^@\s]+")), r"`It` RLIKE '\\A(?:[^@\\t\\n\\f\\r ]+)\\z'")

    def test_a_date_is_made_of_its_digits(self):
        self.assertEqual(
            sql.cast(COLUMNS["Paid_On"]),
            "make_date(CAST(substr(`Paid_On`, 7, 4) AS INT), CAST(substr(`Paid_On`, 1, 2) AS INT),"
            " CAST(substr(`Paid_On`, 4, 2) AS INT))",
        )
        self.assertIn("substr(`It`, 1, 4)", sql.cast(a_column(kind="date", pattern="x", format="%Y-%m-%d")))

    def test_each_kind_has_its_cast(self):
        for name, cast in (
            ("Id", "`Id`"),
            ("Amount", "CAST(`Amount` AS DECIMAL(18,2))"),
            ("Times", "CAST(`Times` AS BIGINT)"),
            ("Charity", "(`Charity` = 'Yes')"),
        ):
            with self.subTest(name):
                self.assertEqual(sql.cast(COLUMNS[name]), cast)

    def test_what_does_not_match_its_pattern_is_not_cast(self):
        matches = sql.matches(COLUMNS["Amount"])
        both: tuple[Rule, ...] = ("type", "range")
        for rule in both:
            with self.subTest(rule):
                self.assertTrue(sql.violation(COLUMNS["Amount"], rule).startswith(f"({matches} AND "))

    def test_the_other_rules(self):
        cases: tuple[tuple[str, Rule, str], ...] = (
            ("Id", "required", "`Id` IS NULL"),
            ("Note", "length", "char_length(`Note`) > 10"),
            ("Nature", "values", "`Nature` NOT IN ('Meal', 'Travel, and lodging')"),
        )
        for name, rule, violation in cases:
            with self.subTest(rule):
                self.assertEqual(sql.violation(COLUMNS[name], rule), violation)

    def test_every_record_is_on_one_side(self):
        self.assertTrue(sql.quarantined(CONTRACT, transcoded=False).endswith(" IS TRUE)"))
        self.assertIn("_not_utf8 IS NOT NULL", sql.quarantined(CONTRACT, transcoded=True))

    def test_no_rule_is_no_reason(self):
        bare = Contract(name="t", key="It", order=("It",), columns=(a_column(),))

        self.assertEqual(sql.quarantined(bare, transcoded=False), "((false) IS TRUE)")
        self.assertEqual(sql.staged(bare), ["`It` AS `it`", "nullif(concat_ws(',', NULL), '') AS _flags", "_part"])

    def test_the_columns_of_a_quarantine_are_those_of_the_file_without_the_mark_of_our_reader(self):
        columns = sql.quarantine(CONTRACT, ("Id", "More", "_not_utf8"))

        self.assertEqual(columns[:2], ["`Id` AS `id`", "`More` AS `more`"])
        self.assertIn("'record.encoding'", columns[2])
        self.assertEqual(columns[3:], ["_part_sha256", "_part", "_record"])


class Portable(unittest.TestCase):
    def test_every_contract_can_be_staged_by_spark(self):
        texts = [*(one.contract for one in DATASETS.values()), AGENCY_FILES.read_text(encoding="utf-8"), CUSTOMERS]
        for contract in map(Contract.from_toml, texts):
            with self.subTest(contract.name):
                self.assertGreater(len(sql.quarantined(contract, transcoded=True)), 20)
                self.assertEqual(len(sql.staged(contract)), len(contract.columns) + 2)

    def test_a_pattern_that_java_may_read_in_another_way_is_refused(self):
        doubtful = (
            r"\d+",
            "a.b",
            "(?i)a",
            r"\bA",
            "[a&&b]",
            "[a[b]]",
            r"\p{L}",
            "^a$",
            "(?=a)",
            r"(a)\1",
            "[[:alpha:]]",
        )
        for pattern in doubtful:
            with self.subTest(pattern):
                self.assertFalse(sql.is_portable(pattern))
        with self.assertRaisesRegex(DataError, "in another way than DuckDB"):
            sql.matches(a_column(pattern=r"\d+"))

    def test_a_date_of_another_form_is_refused(self):
        with self.assertRaisesRegex(DataError, "no dates as '%B %d'"):
            sql.cast(a_column(kind="date", pattern="x", format="%B %d"))
