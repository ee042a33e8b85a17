import unittest
from decimal import Decimal

from etl_core.errors import DataError
from etl_core.kube.quantity import parse_quantity


class ParseQuantity(unittest.TestCase):
    def test_every_form_of_a_number_is_read(self):
        forms: dict[object, int | str] = {
            "110": 110, "2k": 2000, "1500m": "1.5", "1": 1, "0": 0, "16Mi": 16 * 2**20, "1Gi": 2**30, "1e3": 1000,
            "5E3": 5000, "12E": 12 * 10**18, 7: 7,
        }  # fmt: skip
        for text, number in forms.items():
            with self.subTest(text=text):
                self.assertEqual(parse_quantity(text), Decimal(number))

    def test_anything_else_is_an_error_of_ours(self):
        wrong: tuple[object, ...] = ("", "many", "2q", "nan", "inf", None, [], {}, "k")
        for text in wrong:
            with self.subTest(text=text), self.assertRaisesRegex(DataError, "quantity"):
                parse_quantity(text)
