import hashlib
import itertools
import unittest

from hypothesis import given, settings
from hypothesis import strategies as st

from etl_core import rows as rows_module
from etl_core.dialect import LONGEST_RECORD_LINES
from etl_core.records import LONGEST_RECORD_BYTES, Layout, RecordError, RecordReader
from etl_core.rows import Row, verified_rows
from packages.etl_core.tests.support.tables import php_csv, php_line

HEADER = ("type", "id", "name", "published")
HARD = [
    ("NEW", "1", "plain", "2026"),
    ("NEW", "2", "O'Neil, Ann", "2026"),
    ("NEW", "3", 'a 5" nail', "2026"),
    ("NEW", "4", '"', "2026"),
    ("NEW", "5", "two\nlines", "2026"),
    ("NEW", "6", '"x"\r\ny,\n\nz', "2026"),
    ("NEW", "7", "5 \\ 6", "2026"),
    ("NEW", "8", 'a 5\\" nail, long', "2026"),
    ("NEW", "9", "C:\\dir\\x", "2026"),
    ("NEW", "10", "", ""),
    ("", "11", "Zoë \N{SNOWMAN}", "2026"),
]
TEXT = st.text(st.sampled_from('ab,"\n\\ é'), max_size=8)


def body_of(*rows, backslash=False):
    return php_csv(HEADER, rows, backslash=backslash)


def read(body: bytes, *cuts: int, sha256: str = "") -> list[Row]:
    chunks = [body[start:end] for start, end in itertools.pairwise([0, *cuts, len(body)])]
    return list(verified_rows(chunks, sha256 or hashlib.sha256(body).hexdigest()))


class RowsCase(unittest.TestCase):
    def assert_refused(self, reason: str, body: bytes, *cuts: int, sha256: str = "") -> RecordError:
        with self.assertRaises(RecordError) as caught:
            read(body, *cuts, sha256=sha256)
        self.assertEqual(caught.exception.reason, reason, caught.exception.detail)
        return caught.exception


class WhatItHandsOut(RowsCase):
    def assert_as_records(self, body: bytes, cut: int) -> bool:
        """The content hash is the one that ``records`` finds; False where that refuses the file."""
        reader = RecordReader(Layout(HEADER, key="id"))
        try:
            reader.feed(body[:cut])
            reader.feed(body[cut:])
            summary = reader.finish()
        except RecordError:
            return False
        found = [hashlib.sha256(canonical).digest() for canonical, _ in read(body, min(cut, len(body)))[1:]]
        total = sum(int.from_bytes(digest) for digest in found) % 2**256
        self.assertEqual((len(found), f"{total:064x}"), (summary.records, summary.content_hash))
        return True

    def test_is_the_header_and_the_fields_of_every_record_in_either_dialect_however_cut(self):
        for backslash in (False, True):
            body = body_of(*HARD, backslash=backslash)
            for cut in range(len(body) + 1):
                header, *rows = read(body, cut)
                self.assertEqual(header[1], list(HEADER), cut)
                self.assertEqual(sorted(fields for _, fields in rows), sorted(map(list, HARD)), (backslash, cut))
            self.assertEqual(sorted(read(body, *range(1, len(body)))), sorted(read(body)))

    def test_is_each_record_as_rfc_4180_writes_it_whatever_the_dialect(self):
        for backslash in (False, True):
            for canonical, fields in read(body_of(*HARD, backslash=backslash)):
                self.assertEqual(canonical.decode(), php_line(fields, backslash=False))

    def test_is_the_header_alone_of_an_empty_part(self):
        self.assertEqual(read(body_of()), [(b"type,id,name,published", list(HEADER))])

    def test_holds_fields_that_the_csv_module_refuses(self):
        long = "x" * 140_000
        ((_, fields),) = read(body_of(("NEW", "1", long, "2026")))[1:]
        self.assertEqual(fields[2], long)

    def test_keeps_bytes_that_are_no_utf_8(self):
        for name in (b"\xff\xfe", b'"\xff \xc3"', b"\xff\\"):
            body = b"type,id,name,published\nNEW,1," + name + b",2026\n"
            ((_, fields),) = read(body)[1:]
            self.assertEqual(fields[2].encode("utf-8", "surrogateescape"), name.strip(b'"'))

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.tuples(TEXT, st.just(""), TEXT, TEXT), max_size=6), st.booleans(), st.integers(0, 200))
    def test_has_the_content_hash_that_records_finds_wherever_records_accepts_the_file(self, texts, backslash, cut):
        rows = [(first, str(number), *rest) for number, (first, _, *rest) in enumerate(texts)]
        self.assert_as_records(body_of(*rows, backslash=backslash), cut)

    def test_is_rfc_4180_wherever_that_reads_the_whole_chunk(self):
        for name in ('\\"\n', '\\",\nx', 'a\\"\n\n'):
            rows = [("NEW", "1", "a", name), ("NEW", "2", "b\\", "c")]
            found = [fields for _, fields in read(body_of(*rows))[1:]]
            self.assertEqual(found, list(map(list, rows)))

    def test_is_in_the_other_dialect_where_only_a_later_record_shows_that_it_is(self):
        # By RFC 4180 the first record takes a line of the second, whose other lines look whole by their quotes.
        rows = [("a", "0", '"",,"', '"\\"'), ("\n", "1", "\n", " b \n"), (",", "2", "a\n", "b")]
        body = body_of(*rows, backslash=True)
        self.assertGreater(sum(self.assert_as_records(body, cut) for cut in range(len(body))), 60)


class WhatItRefuses(RowsCase):
    def test_is_a_flipped_bit_anywhere_which_it_tells_from_a_file_it_cannot_read(self):
        for backslash in (False, True):
            body = body_of(*HARD, backslash=backslash)
            proved = hashlib.sha256(body).hexdigest()
            for at, bit in itertools.product(range(len(body)), (0x01, 0x08, 0x80)):
                damaged = body[:at] + bytes([body[at] ^ bit]) + body[at + 1 :]
                error = self.assert_refused("sha256", damaged, len(body) // 2, sha256=proved)
                self.assertIn(proved, error.detail)
                self.assertIn(hashlib.sha256(damaged).hexdigest(), error.detail)

    def test_is_a_part_cut_short_and_one_that_goes_on(self):
        body = body_of(*HARD)
        proved = hashlib.sha256(body).hexdigest()
        for other in (b"", body[:-1], body[: body.rindex(b"NEW")], body + b"NEW,12,,\n"):
            self.assert_refused("sha256", other, sha256=proved)

    def test_is_a_record_of_another_width_though_the_hash_is_right(self):
        for line in (b"NEW,1,a\n", b"NEW,1,a,b,c\n", b"\n", b'NEW,a","b\nx",y"\n'):
            self.assert_refused("width", body_of() + line)

    def test_is_text_after_a_closing_quote_and_a_bare_carriage_return(self):
        for line in (b'NEW,1,"a"b,c\n', b"NEW,1,a\rb,c\n"):
            self.assert_refused("malformed", body_of() + line)

    def test_is_an_end_inside_a_record(self):
        for end in (b"NEW,1,a,b", b'NEW,1,"a\n', b'NEW,1,"a\\"b\n'):
            self.assert_refused("truncated", body_of() + end)

    def test_is_a_record_without_end_before_it_fills_the_memory(self):
        chunk = b"a\n" * (LONGEST_RECORD_BYTES // 4)
        for begun in (b'"', b"a" * LONGEST_RECORD_BYTES):
            endless = iter([body_of() + begun, *[chunk] * 9])
            with self.assertRaises(RecordError):
                for _ in rows_module._rows(endless):
                    pass
            self.assertGreater(len(list(endless)), 4)
        lines = b'NEW,1,"\\"\n' + b"a\n" * (LONGEST_RECORD_LINES + 1)
        self.assertIn("lines and no record", self.assert_refused("malformed", body_of() + lines).detail)
