import unittest
from pathlib import Path

from data_pipeline.lakehouse.contract import Contract, header_digest, header_drift
from etl_core.errors import DataError
from packages.data_pipeline.tests.unit.lakehouse.tables import CONTRACT, TOML


class Reading(unittest.TestCase):
    def test_a_column_has_the_rules_of_its_type_and_its_own(self):
        amount, note = CONTRACT.columns[2], CONTRACT.columns[8]

        self.assertEqual(amount.rules, ("required", "pattern", "type", "range"))
        self.assertEqual([amount.action(rule) for rule in amount.rules], ["quarantine"] * 3 + ["flag"])
        self.assertEqual((note.title, note.rules), ("note", ("length",)))

    def test_what_is_stored_is_read_back_as_the_same_contract(self):
        stored = Contract.parse(CONTRACT.to_bytes(), "metadata/contracts/x.json")

        self.assertEqual((stored, stored.hash, stored.to_bytes()), (CONTRACT, CONTRACT.hash, CONTRACT.to_bytes()))

    def test_a_contract_that_contradicts_itself_is_refused(self):
        for was, becomes, words in (
            ('kind = "text"', 'kind = "prose"', "kind"),
            ("pattern = 'Yes|No'", "pattern = ''", "not lost"),
            ("format = ", 'actions = { pattern = "flag" }\nformat = ', "not lost"),
            ('["Yes", "No"]', '["Yes"]', "two known values"),
            ("length = 10", 'low = "a"', "only dates and numbers"),
            ("length = 10", 'length = 10\nactions = { length = "drift" }', "only new values"),
            ('order = ["Payer", "Id"]', 'order = ["Id", "Payer"]', "ends in the key"),
            ('order = ["Payer", "Id"]', 'order = ["Payee", "Id"]', "Payee"),
            ("Note = {", 'ID = { type = "number" }\nNote = {', "twice: id"),
            ('Note = { type = "note" }', '"Note; drop" = { type = "note" }', "pattern"),
            ('Note = { type = "note" }', 'Note = { type = "prose" }', "prose"),
            ("[types]", "[types", "no contract"),
        ):  # fmt: skip
            with self.subTest(becomes=becomes), self.assertRaisesRegex(DataError, words):
                self.assertIn(was, TOML)
                Contract.from_toml(TOML.replace(was, becomes))


class Hash(unittest.TestCase):
    def test_a_changed_rule_changes_it_and_a_known_era_does_not(self):
        eras = '\n[[eras]]\nname = "of 2014"\ncolumns = 1\nsha256 = "00"\n'
        for text, changed in (
            (TOML, False),
            (TOML.replace("length = 10", "length = 11"), True),
            (TOML.replace('["Meal",', '["Meal", "Gift",'), True),
            (TOML + eras, False),
        ):
            with self.subTest(text=text[-40:]):
                self.assertEqual(Contract.from_toml(text).hash != CONTRACT.hash, changed)

    def test_it_is_the_same_in_every_process_and_version(self):
        self.assertEqual(CONTRACT.hash, "e7a7d412")


class Drift(unittest.TestCase):
    def test_each_change_of_a_header_has_its_name(self):
        known = ("a", "b", "c", "d")
        nothing = {"added": (), "removed": (), "renamed": (), "reordered": False}
        for found, drift, breaking in (
            ("abcd", {}, False),
            ("abcde", {"added": ("e",)}, False),
            ("abxcd", {"added": ("x",)}, False),
            ("acd", {"removed": ("b",)}, True),
            ("abXd", {"renamed": (("c", "X"),)}, True),
            ("bacd", {"reordered": True}, False),
            ("dcba", {"reordered": True}, False),
            ("xbad", {"added": ("x",), "removed": ("c",), "reordered": True}, True),
            ("abbcd", {"reordered": True}, True),
        ):
            with self.subTest(found=found):
                made = header_drift(known, tuple(found))
                self.assertEqual(made.model_dump(include=set(nothing)), nothing | drift)
                self.assertEqual((bool(made), made.breaking), (bool(drift), breaking))

    def test_its_text_names_the_columns_and_shows_no_control_characters(self):
        drift = CONTRACT.drift(("\x1b[31mId", *CONTRACT.header[1:], "More"))

        self.assertEqual(str(drift), "breaking: added More; renamed Id to ·[31mId")

    def test_a_former_header_is_known_by_name(self):
        former = ("Id", "Payer")
        contract = Contract.from_toml(
            TOML + f'\n[[eras]]\nname = "of 2014"\ncolumns = 2\nsha256 = "{header_digest(former)}"\n'
        )

        found = contract.era_of(former)

        self.assertEqual(found.name if found else "", "of 2014")
        self.assertIsNone(contract.era_of(CONTRACT.header))


class Neutrality(unittest.TestCase):
    def test_the_lakehouse_has_no_word_of_a_domain(self):
        import data_pipeline.lakehouse as package

        for path in Path(package.__path__[0]).glob("*.py"):
            with self.subTest(path=path.name):
                text = path.read_text().lower()
                self.assertEqual(
                    [word for word in ("company", "physician", "cms", "open_payments") if word in text], []
                )
