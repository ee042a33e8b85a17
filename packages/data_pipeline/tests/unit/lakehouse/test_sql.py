import tempfile
import unittest
from decimal import Decimal
from pathlib import Path

import duckdb

from data_pipeline.lakehouse import sql
from etl_core.csv_stream.dialect import write_fields
from packages.data_pipeline.tests.unit.lakehouse.tables import CONTRACT, a_record

PART = "raw/payments/it's [1]*.csv"


class SqlCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.path = self.folder / "it's [a] part*.csv"
        self.database = self.enterContext(duckdb.connect(config={"threads": 1}))

    def write(self, *records, header=CONTRACT.header):
        lines = [write_fields([field.encode() for field in record]) + b"\n" for record in (header, *records)]
        self.path.write_bytes(b"".join(lines))

    def rows(self, statement):
        cursor = self.database.execute(statement)
        return [dict(zip([one[0] for one in cursor.description], row, strict=True)) for row in cursor.fetchall()]

    def staged(self, header=CONTRACT.header):
        return self.rows(sql.stage(CONTRACT, {str(self.path): PART}, header))

    def quarantined(self):
        return self.rows(sql.quarantine(CONTRACT, str(self.path), CONTRACT.header, PART, "5a"))


class Staging(SqlCase):
    def test_a_good_record_is_cast_and_carries_its_part(self):
        self.write(a_record(), a_record(Id="2", Paid_On="", Times="", Charity="Yes", State="", Nature="", Note=""))

        first, second = self.staged()

        self.assertEqual(
            (first["id"], first["amount"], f"{first['paid_on']:%Y-%m-%d}"), ("1", Decimal("12.30"), "2024-02-29")
        )
        self.assertEqual((first["times"], first["charity"], first["_flags"], first["_part"]), (3, False, None, PART))
        self.assertEqual({second[one] for one in ("paid_on", "times", "state", "nature", "note", "_flags")}, {None})
        self.assertTrue(second["charity"])

    def test_columns_are_read_by_name_whatever_their_order(self):
        names = (*reversed(CONTRACT.header), "More")
        self.write([*reversed(a_record()), "more"], header=names)

        (row,) = self.staged(names)

        self.assertEqual((row["id"], row["note"]), ("1", "thanks"))
        self.assertNotIn("more", row)

    def test_every_record_is_on_exactly_one_side_and_says_why(self):
        cases: tuple[tuple[dict[str, str], str | None, str | None], ...] = (
            ({}, None, None),
            ({"Id": ""}, "id.required", None),
            ({"Id": "1\n"}, "id.pattern", None),
            ({"Amount": "12.345"}, "amount.pattern", None),
            ({"Amount": "1e3"}, "amount.pattern", None),
            ({"Amount": " 1"}, "amount.pattern", None),
            ({"Amount": "", "Paid_On": "1/3/2024"}, "amount.required,paid_on.pattern", None),
            ({"Amount": "9999999999999999.99"}, None, "amount.range"),
            ({"Amount": "0.00"}, None, "amount.range"),
            ({"Amount": "-3"}, None, "amount.range"),
            ({"Paid_On": "02/30/2024"}, "paid_on.type", None),
            ({"Paid_On": "11/30/0002"}, None, "paid_on.range"),
            ({"Times": "1_000"}, "times.pattern", None),
            ({"Times": "1000"}, None, "times.range"),
            ({"Charity": "yes"}, "charity.pattern", None),
            ({"State": "ny", "Note": "ten and more"}, None, "state.pattern,note.length"),
            ({"Note": "ten wörds!"}, None, None),
            ({"Nature": "Bribe"}, None, None),
            ({"Note": "=cmd"}, None, None),
            ({"Note": '"; drop'}, None, None),
            ({"Note": "\x1b[31m\t\r"}, None, None),
        )
        self.write(*(a_record(**{"Note": "", **changes}) for changes, _, _ in cases))

        quarantined = {one["_record"]: one for one in self.quarantined()}
        staged = iter(self.staged())

        for number, (changes, reasons, flags) in enumerate(cases, 1):
            with self.subTest(**changes):
                if reasons is None:
                    self.assertNotIn(number, quarantined)
                    self.assertEqual(next(staged)["_flags"], flags)
                else:
                    found = quarantined[number]
                    self.assertEqual(found["_reasons"], reasons)
                    self.assertEqual((found["_part"], found["_part_sha256"]), (PART, "5a"))
                    (name, text), *_ = changes.items()
                    self.assertEqual(found[name.lower()], text or None)
        self.assertEqual(list(staged), [])

    def test_a_broken_field_of_200_kb_and_a_nul_are_kept_as_they_are(self):
        self.write(a_record(Note="a,\n" * 70_000), a_record(Note="a\0b"))

        self.assertEqual([len(one["note"]) for one in self.staged()], [210_000, 3])


class Written(SqlCase):
    def test_parts_read_together_are_written_apart_in_their_order_and_measured(self):
        other = self.folder / "other.csv"
        self.write(*(a_record(Id=str(number), Nature="New, b") for number in (3, 1, 2)), a_record(Amount="x"))
        self.path.rename(other)
        self.write(a_record(Id="9", Payer="5", Amount="1.05"))
        both = sql.stage(CONTRACT, {str(other): "one", str(self.path): "two"}, CONTRACT.header)
        self.database.execute(sql.copy(both, str(self.folder / "out"), columns=9, by="_number"))

        files = sorted(map(str, self.folder.glob("out/*/*.parquet")))
        self.assertEqual(
            [[row["id"] for row in self.rows(f"FROM {sql.read_parquet([file])}")] for file in files],
            [["3", "1", "2"], ["9"]],
        )
        measured = self.database.execute(sql.measured(CONTRACT, sql.read_parquet(files))).fetchall()
        self.assertEqual(
            sorted(measured),
            [
                ("one", 3, 0, "7", "7", Decimal("36.90"), 3),
                ("two", 1, 0, "5", "5", Decimal("1.05"), 0),
            ],
        )
        new = self.database.execute(sql.new_values(CONTRACT.listed[0], sql.read_parquet(files))).fetchall()
        self.assertEqual(new, [("one", 3, "New, b", "New, b")])

    def test_the_same_records_give_the_same_bytes(self):
        self.write(*(a_record(Id=str(number)) for number in range(2000)))
        bodies = []
        for name in ("one", "two"):
            self.database.execute(
                sql.copy(
                    sql.stage(CONTRACT, {str(self.path): "p"}, CONTRACT.header), str(self.folder / name), columns=9
                )
            )
            bodies.append((self.folder / name).read_bytes())

        self.assertEqual(bodies[0], bodies[1])

    def test_flags_are_counted_one_by_one(self):
        self.write(a_record(State="ny", Times="1000"), a_record(State="x"), a_record())
        self.database.execute(f"CREATE TABLE t AS {sql.stage(CONTRACT, {str(self.path): 'p'}, CONTRACT.header)}")

        counted = self.database.execute(sql.counts("_flags", "t")).fetchall()

        self.assertEqual(counted, [("p", "state.pattern", 2), ("p", "times.range", 1)])
