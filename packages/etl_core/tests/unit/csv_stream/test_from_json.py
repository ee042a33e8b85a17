import csv
import io
import tempfile
import unittest
from pathlib import Path
from typing import Any

from etl_core.csv_stream.from_json import Columns, JsonAsCsv

TEXT = ("string",)
FIELDS = {
    "id": ("string", "number"), "last_name": TEXT, "email": TEXT, "phone": TEXT, "street": TEXT, "city": TEXT,
    "country": TEXT, "segment": TEXT, "balance": ("number", "string"), "newsletter": ("boolean",),
}  # fmt: skip
WHOLE: dict[str, Any] = {
    "id": "1", "last_name": "O'Neil, Jr.", "email": "z@example.com", "phone": "", "street": "1 A\nB", "city": "Köln",
    "country": "DE", "segment": "retail", "balance": 12.5, "newsletter": True,
}  # fmt: skip


class ACsvOfJson(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def make(self, *batches: list[dict[str, Any]], key: str = "id") -> tuple[JsonAsCsv, list[dict[str, str]]]:
        fields = {key if name == "id" else name: types for name, types in FIELDS.items()}
        made = JsonAsCsv.of(batches, self.folder / "extract.csv", Columns(tuple(FIELDS), fields, key, "N/A"))
        return made, list(csv.DictReader(io.StringIO(made.path.read_bytes().decode(), newline="")))

    def test_has_the_declared_columns_and_every_value_as_it_came(self):
        _, rows = self.make([WHOLE])
        expected = {name: str(value) for name, value in WHOLE.items()} | {"newsletter": "true"}
        self.assertEqual(rows, [expected])
        self.assertEqual(tuple(rows[0]), tuple(FIELDS))

    def test_of_nothing_is_a_header(self):
        made, rows = self.make()
        self.assertEqual((made.written.records, rows), (0, []))
        self.assertEqual(made.path.read_text().rstrip("\n").split(","), list(FIELDS))

    def test_counts_missing_fields_as_na_nulls_as_nothing_and_wrong_types_as_json(self):
        record = WHOLE | {
            "email": None, "phone": 5, "city": ["a", "b"], "segment": {"x": None}, "newsletter": "yes",
            "balance": "1.50", "last_name": "half \ud800",
        }  # fmt: skip
        del record["country"]

        made, (row,) = self.make([record])

        self.assertEqual(
            [
                row[one]
                for one in ("country", "email", "phone", "city", "segment", "newsletter", "balance", "last_name")
            ],
            ["N/A", "", "5", '["a","b"]', '{"x":null}', "yes", "1.50", "half \\ud800"],
        )
        self.assertEqual(
            made.found,
            {
                "missing": {"country": 1},
                "nulls": {"email": 1},
                "wrong_types": {
                    "city": {"array": 1}, "newsletter": {"string": 1}, "phone": {"number": 1}, "segment": {"object": 1}
                },
                "unknown": {},
            },
        )  # fmt: skip

    def test_leaves_out_and_counts_fields_that_no_column_has(self):
        made, (row,) = self.make([WHOLE | {"loyalty": 1, "esc\x1b": 2}])
        self.assertEqual(made.found["unknown"], {"loyalty": 1, "esc": 1})
        self.assertNotIn("loyalty", row)

    def test_names_no_more_than_a_hundred_of_them(self):
        made, _ = self.make([WHOLE | {f"field{number}": 1 for number in range(150)}])
        self.assertEqual(len(made.unknown), 101)
        self.assertEqual(made.unknown["…"], 50)

    def test_has_each_id_once_and_each_row_without_an_id(self):
        nameless = {name: value for name, value in WHOLE.items() if name != "id"}
        made, rows = self.make([WHOLE, WHOLE | {"city": "other"}], [WHOLE, nameless, nameless, nameless | {"id": None}])
        self.assertEqual((made.written.records, made.repeated, made.without_id), (4, 2, 3))
        self.assertEqual([row["id"] for row in rows], ["1", "N/A", "N/A", ""])
        self.assertEqual(rows[0]["city"], "Köln")

    def test_takes_a_number_and_a_text_for_one_id(self):
        made, _ = self.make([WHOLE | {"id": 7}, WHOLE | {"id": "7"}])
        self.assertEqual((made.written.records, made.repeated), (1, 1))

    def test_has_the_id_of_another_field(self):
        record = WHOLE | {"customer_no": "C9"}
        made, (row,) = self.make([record], key="customer_no")
        self.assertEqual(row["id"], "C9")
        self.assertEqual(made.unknown, {"id": 1})

    def test_leaves_no_scratch_file(self):
        self.make([WHOLE])
        self.assertEqual([path.name for path in self.folder.iterdir()], ["extract.csv"])
