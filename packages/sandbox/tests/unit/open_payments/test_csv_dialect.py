"""The two CSV dialects, byte for byte (facts 1.7)."""

from __future__ import annotations

import csv
import io
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from sandbox.open_payments.csv_dialect import field, record

TEXTS = st.text(alphabet=st.sampled_from('ab ,"\\\n\r\té™東\u2028'), max_size=12)


class FieldTest(TestCase):
    def test_a_field_is_quoted_where_php_quotes_it(self):
        cases = [
            # text, dialect A, dialect B
            ("", "", ""),
            ("UNCHANGED", "UNCHANGED", "UNCHANGED"),
            ("Covered Recipient Physician", '"Covered Recipient Physician"', '"Covered Recipient Physician"'),
            ("a,b", '"a,b"', '"a,b"'),
            ("a\tb", '"a\tb"', '"a\tb"'),
            ("a\r\nb", '"a\r\nb"', '"a\r\nb"'),
            ('6" wire', '"6"" wire"', '"6"" wire"'),
            ('"', '""""', '""""'),
            ("a|b&c;d'e", "a|b&c;d'e", "a|b&c;d'e"),
            ("é™東\u2028", "é™東\u2028", "é™東\u2028"),
            ("a\\b", '"a\\b"', "a\\b"),
            ("end\\", '"end\\"', "end\\"),
            ('\\"', '"\\""', '"\\"""'),
            ('\\\\"', '"\\\\""', '"\\\\"""'),
            ('\\""', '"\\""""', '"\\"""""'),
            ('\\x"', '"\\x"""', '"\\x"""'),
        ]
        for text, a, b in cases:
            with self.subTest(text=text):
                self.assertEqual((field(text, "A"), field(text, "B")), (a, b))

    @given(st.lists(TEXTS, min_size=2, max_size=5))
    def test_python_reads_back_what_dialect_b_wrote(self, texts):
        line = record(texts, "B").decode() + "\n"
        self.assertEqual(list(csv.reader(io.StringIO(line, newline=""))), [texts])

    @given(TEXTS.filter(lambda text: "\\" not in text))
    def test_without_a_backslash_the_dialects_are_one(self, text):
        self.assertEqual(field(text, "A"), field(text, "B"))
