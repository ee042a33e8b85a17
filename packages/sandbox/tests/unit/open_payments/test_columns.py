"""Headers and machine names (facts 1.10, 3.1)."""

from __future__ import annotations

from unittest import TestCase

from sandbox.open_payments.columns import columns, machine_name

TABLES = (("general", 91), ("research", 252), ("ownership", 30), ("companies", 9), ("summary", 20))


class ColumnsTest(TestCase):
    def test_the_tables_have_as_many_columns_as_the_real_ones(self):
        for table, count in TABLES:
            with self.subTest(table=table):
                self.assertEqual(len({column.name for column in columns(table)}), count)

    def test_a_title_becomes_a_machine_name_as_dkan_makes_it(self):
        long = "Name_of_Third_Party_Entity_Receiving_Payment_or_Transfer_of_Value"
        cases = [
            ("Change_Type", "change_type"),
            ("Date of\nPayment", "date_of_payment"),
            ("_Amount (US$)_", "amount_us"),
            (long, "name_of_third_party_entity_receiving_payment_or_transfer_of_ccfc"),
        ]
        for title, name in cases:
            with self.subTest(title=title):
                self.assertEqual(machine_name(title), name)

    def test_research_repeats_the_investigator_s_columns_five_times(self):
        """Facts 3.4."""
        titles = [column.title for column in columns("research")]
        for number in range(1, 6):
            own = [title for title in titles if title.startswith(f"Principal_Investigator_{number}_")]
            with self.subTest(number=number):
                self.assertEqual(len(own), 32)
                self.assertEqual(titles.index(own[0]), 37 + 32 * (number - 1))

    def test_only_one_general_column_is_cut(self):
        differing = [column for column in columns("general") if column.name != column.title.lower()]
        self.assertEqual([len(column.title) for column in differing], [65])
