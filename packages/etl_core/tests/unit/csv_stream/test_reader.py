import hashlib
import itertools
import unittest
from dataclasses import replace

from etl_core.csv_stream.keys import KeySet
from etl_core.csv_stream.layout import Layout
from etl_core.csv_stream.reader import LONGEST_RECORD_BYTES, Record, RecordError, RecordReader, Summary
from packages.etl_core.tests.support.tables import content_hash, php_csv

HEADER = ("type", "id", "company", "date", "name", "published")
LAYOUT = Layout(
    header=HEADER,
    key="id",
    equal={"company": "100"},
    between=("date", "2024-01-01", "2025-01-01"),
    volatile=frozenset({"type", "published"}),
)
HEAD = b"type,id,company,date,name,published\n"


def record(number=1, *, kind="NEW", company="100", date="2024-05-06", name="Ann", published="2026-06-30"):
    return (kind, str(number), company, date, name, published)


def csv_of(*rows, backslash=False):
    return php_csv(HEADER, rows, backslash=backslash)


def read(body, *cuts, layout=LAYOUT) -> Summary:
    reader = RecordReader(layout)
    for start, end in itertools.pairwise([0, *cuts, len(body)]):
        reader.feed(body[start:end])
    return reader.finish()


class ReadingCase(unittest.TestCase):
    def assert_refused(self, reason, body, *cuts, layout=LAYOUT) -> RecordError:
        with self.assertRaises(RecordError) as caught:
            read(body, *cuts, layout=layout)
        self.assertEqual(caught.exception.reason, reason, caught.exception.detail)
        self.assertEqual(str(caught.exception), caught.exception.detail)
        return caught.exception

    def assert_refused_however_cut(self, reason, body, layout=LAYOUT):
        for cut in range(len(body) + 1):
            self.assert_refused(reason, body, cut, layout=layout)
        self.assert_refused(reason, body, *range(1, len(body)), layout=layout)


class FoundInAStream(ReadingCase):
    def test_a_stream_is_counted_and_hashed(self):
        rows = [record(1, name="O'Neil, Ann"), record(2, name="5 \\ 6"), record(30, name='"x"\r\ny')]
        body = csv_of(*rows)
        summary = read(body)

        self.assertEqual(summary.records, 3)
        self.assertEqual(summary.bytes, len(body))
        self.assertEqual(summary.sha256, hashlib.sha256(body).hexdigest())
        self.assertEqual(summary.content_hash, content_hash(rows, [0, 5]))
        self.assertEqual(summary.header_hash, hashlib.sha256(HEAD[:-1]).hexdigest())

    def test_the_summary_does_not_depend_on_chunks(self):
        rows = [record(1, name="O'Neil, Ann"), record(2, name="a\nb\n"), record(30, name='"x"\r\ny'), record(4)]
        for backslash in (False, True):
            body = csv_of(*rows, backslash=backslash)
            whole = read(body)
            for cut in range(len(body) + 1):
                self.assertEqual(read(body, cut), whole, cut)
            self.assertEqual(read(body, *range(1, len(body))), whole)

    def test_a_record_that_rfc_4180_explains_is_read_so(self):
        # Read line by line, the first of these three lines looks like a record of the other dialect.
        for name in ('5\\"\nx', 'a\\"\nNEW,2,100,2024-05-06,\\', 'C:\\"\n"'):
            rows = [record(1, name=name), record(2)]
            summary = read(csv_of(*rows))
            self.assertEqual((summary.records, summary.content_hash), (2, content_hash(rows, [0, 5])))

    def test_records_received_and_keys_are_known_between_feeds(self):
        reader = RecordReader(LAYOUT)
        body = csv_of(record(1), record(2))
        reader.feed(body[:-5])
        self.assertEqual((reader.records, reader.received), (1, len(body) - 5))
        reader.feed(body[-5:])
        self.assertEqual((reader.records, reader.received), (2, len(body)))
        reader.feed(csv_of(record("x"))[len(HEAD) :])
        self.assertEqual(list(reader.keys), [1, 2, b"x"])

    def test_a_stream_of_a_header_alone_has_no_records(self):
        summary = read(HEAD)
        self.assertEqual((summary.records, summary.bytes, summary.content_hash), (0, len(HEAD), "0" * 64))

    def test_order_dialect_and_volatile_columns_do_not_change_the_content_hash(self):
        rows = [record(1, name='12\\" pipe'), record(2, name='say "hi"'), record(3, name="C:\\dir x"), record(4)]
        expected = content_hash(rows, [0, 5])
        changed = [("CHANGED, again", *row[1:5], 'on "Friday"') for row in rows]
        for what, body in [
            ("as it is", csv_of(*rows)),
            ("other dialect", csv_of(*rows, backslash=True)),
            ("other order", csv_of(*reversed(rows))),
            ("other volatile values", csv_of(*changed)),
            ("all of it", csv_of(*reversed(changed), backslash=True)),
        ]:
            with self.subTest(what):
                self.assertEqual(read(body).content_hash, expected)

    def test_quotes_without_need_do_not_change_the_content_hash(self):
        plain = csv_of(record(1), record(2))
        quoted = plain.replace(b"Ann", b'"Ann"')
        bare = csv_of(record(1, name="A n")).replace(b'"', b"")
        self.assertEqual(read(quoted).content_hash, read(plain).content_hash)
        self.assertEqual(read(bare).content_hash, content_hash([record(1, name="A n")], [0, 5]))

    def test_the_summary_states_the_dialect_that_was_needed(self):
        for name, backslash, dialect in [
            ("Ann", True, "rfc4180"),
            ("C:\\dir x", True, "rfc4180"),
            ('5\\" x', False, "rfc4180"),
            ('5\\" x', True, "backslash"),
        ]:
            with self.subTest(name=name, backslash=backslash):
                self.assertEqual(read(csv_of(record(1, name=name), backslash=backslash)).dialect, dialect)

    def test_everything_else_changes_the_content_hash(self):
        hashes = {
            read(csv_of(*rows)).content_hash
            for rows in [
                [record(1), record(2)],
                [record(1), record(3)],
                [record(1), record(2, name="Bob")],
                [record(1), record(2, date="2024-05-07")],
                [record(1)],
                [record(1, name="Bob"), record(2)],
                [record(1, name="Ann,"), record(2)],
            ]
        }
        self.assertEqual(len(hashes), 7)

    def test_any_columns_can_be_volatile(self):
        rows = [record(1, name="x y"), record(2)]
        for volatile in [(), (0,), (5,), (0, 4), (0, 4, 5), (3, 4)]:
            with self.subTest(volatile):
                layout = Layout(header=HEADER, key="id", volatile=frozenset(HEADER[index] for index in volatile))
                summary = read(csv_of(*rows), layout=layout)
                self.assertEqual(summary.content_hash, content_hash(rows, volatile))

    def test_volatile_columns_can_hold_anything(self):
        plain = [record(1), record(2)]
        expected = read(csv_of(*plain)).content_hash
        for value in ["a, b", '"', '""', 'a, "b"', '"a", "b"', ',""', '"",', "a\n,b", 'a\n"b", c', '\\"', "C:\\", ""]:
            for kind, published in [(value, "x"), ("x", value), (value, value)]:
                with self.subTest(kind=kind, published=published):
                    rows = [record(1, kind=kind, published=published), record(2)]
                    self.assertEqual(read(csv_of(*rows)).content_hash, expected)

    def test_the_sum_of_hashes_stays_within_256_bits(self):
        rows = [record(number) for number in range(1, 60)]
        self.assertEqual(read(csv_of(*rows)).content_hash, content_hash(rows, [0, 5]))
        rows = [record(number, name="\\") for number in range(1, 60)]
        self.assertEqual(read(csv_of(*rows)).content_hash, content_hash(rows, [0, 5]))

    def test_one_record_has_one_hash_whatever_lies_beside_it_in_a_chunk(self):
        # White space to Python but not to PHP, in the usual path and, beside a backslash, in the careful one.
        odd = [record(1, name="a\x0bb"), record(2, name="a\x0cb"), record(3, name="a\u2028b\x85c")]
        beside = record(4, name="\\")
        self.assertEqual(read(csv_of(*odd)).content_hash, content_hash(odd, [0, 5]))
        self.assertEqual(read(csv_of(*odd, beside)).content_hash, content_hash([*odd, beside], [0, 5]))

    def test_is_the_dialect_that_every_record_can_be_read_in(self):
        """Where no quote follows a backslash the two are the same, so the one that everybody reads is named."""
        for names, backslash, dialect in [
            (("Ann", 'a "b"'), False, "rfc4180"), (("Ann", 'a "b"'), True, "rfc4180"),
            (("C:\\x", "a\\ b"), False, "rfc4180"), (("C:\\x", "a\\ b"), True, "rfc4180"),
            (("Ann", '5\\" x'), False, "rfc4180"), (("Ann", '5\\" x'), True, "backslash"),
        ]:  # fmt: skip
            body = csv_of(*(record(number, name=name) for number, name in enumerate(names, 1)), backslash=backslash)
            for cuts in ((), (len(body) // 2,)):
                with self.subTest(names=names, backslash=backslash, cuts=cuts):
                    self.assertEqual(read(body, *cuts).dialect, dialect)


class RefusedStreams(ReadingCase):
    def test_a_stream_without_a_header_is_refused(self):
        self.assert_refused("no_header", b"")
        self.assert_refused("no_header", HEAD[:-1], 3)

    def test_another_header_is_refused(self):
        table = [
            ("a name missing", b"type,id,company,date,published\n", "misses ['name'] and adds []"),
            ("a name more", HEAD[:-1] + b",more\n", "misses [] and adds ['more']"),
            ("another name", HEAD.replace(b"name", b"nome"), "misses ['name'] and adds ['nome']"),
            ("another order", b"id,type,company,date,name,published\n", "in another order or twice"),
            ("a name twice", b"type,id,company,date,name,name,published\n", "in another order or twice"),
            ("other case", HEAD.upper(), "misses ['type', 'id', 'company', 'date', 'name']"),
            ("a byte order mark", b"\xef\xbb\xbf" + HEAD, "misses ['type']"),
            ("a carriage return", HEAD[:-1] + b"\r\n", "adds ['published·']"),
            ("other punctuation", HEAD.replace(b"name", b"Na-me").upper(), "misses ['type',"),
            ("few columns, all known", b"id,name\n", "misses ['type',"),
            ("many columns more", HEAD[:-1] + b",a,b,c,d,e,f,g,h\n", "misses [] and adds ['a', 'b',"),
        ]
        for what, head, told in table:
            with self.subTest(what):
                error = self.assert_refused("header", head + b"x\n")
                self.assertIn(told, error.detail)

    def test_a_first_line_that_names_no_columns_is_no_header(self):
        for what, line in [
            ("a page", b"<html>\x1b[2J\n"),
            ("a sentence", b"Could not generate header for CSV.\n"),
            ("a sentence with commas", b"Sorry, the service, with its id, is down\n"),
            ("a document", b'{"message":"Database internal error.","status":400}\n'),
            ("a name", b"id\n"),
            ("a record", csv_of(record(1))[len(HEAD) :]),
            ("nothing", b"\n"),
            ("no text", bytes(range(128, 256)) + b"\n"),
        ]:
            with self.subTest(what):
                error = self.assert_refused("error_row", line + b"x\n")
                self.assertIn("in place of a header", error.detail)

    def test_a_header_is_refused_before_any_record(self):
        reader = RecordReader(LAYOUT)
        reader.feed(b"type,id,comp")
        with self.assertRaises(RecordError):
            reader.feed(b"\n")

    def test_a_header_can_be_quoted_or_have_its_other_names(self):
        layout = Layout(header=HEADER, key="id", other_header=tuple(name.upper() for name in HEADER))
        body = csv_of(record(1))
        for head in (HEAD, HEAD.upper(), b'"type","id",company,date,name,published\n'):
            with self.subTest(head):
                summary = read(head + body[len(HEAD) :], layout=layout)
                self.assertEqual(summary.header_hash, hashlib.sha256(head[:-1]).hexdigest())
                self.assertEqual(summary.records, 1)
        self.assert_refused("header", HEAD.title() + body[len(HEAD) :], layout=layout)
        self.assert_refused("header", HEAD.upper() + body[len(HEAD) :])

    def test_an_unreadable_header_is_refused(self):
        self.assert_refused("error_row", b'"\n', layout=Layout(header=HEADER, key="id", other_header=()))

    def test_a_record_of_another_width_is_refused(self):
        one = csv_of(record(1))
        for what, line in [
            ("a field less", b"NEW,2,100,2024-05-06,Ann\n"),
            ("a field more", b"NEW,2,100,2024-05-06,Ann,2026-06-30,\n"),
            ("a field less, quoted", b'NEW,2,100,2024-05-06,"Ann, B"\n'),
            ("a field more, quoted", b'NEW,2,100,2024-05-06,"Ann, B",,\n'),
            ("two records in a line", one[len(HEAD) : -1] * 2 + b"\n"),
        ]:
            with self.subTest(what):
                self.assert_refused_however_cut("width", one + line + one[len(HEAD) :])

    def test_the_message_on_width_gives_both_numbers(self):
        error = self.assert_refused("width", csv_of(record(1)) + b"a,b\n")
        self.assertEqual(error.detail, "record 2 has 2 fields, the header has 6")

    def test_an_error_message_in_place_of_a_record_is_refused(self):
        one = csv_of(record(1))
        for line, told in [
            (b'"Database internal error."\n', 'record 2: "Database internal error."'),
            (b"SQLSTATE[HY000]\x07\n", "record 2: SQLSTATE[HY000]·"),
            (b'"He said ""no"", then left"\n', "record 2:"),
            (b"\n", "record 2:"),
        ]:
            with self.subTest(line):
                error = self.assert_refused("error_row", one + line)
                self.assertIn(told, error.detail)

    def test_quotes_in_wrong_places_are_refused(self):
        start = csv_of(record(1)) + b"NEW,2,100,2024-05-06,"
        for field in [
            b'a"b"',
            b'"a"b',
            b'a"b"c',
            b' "a"',
            b'"a" ',
            b'"a""b"c',
            b'"a"b"c"',
        ]:
            with self.subTest(field):
                body = start + field + b",2026-06-30\n"
                self.assert_refused("malformed", body)
                for cut in range(len(body)):
                    with self.assertRaises(RecordError):
                        read(body, cut)

    def test_a_bare_carriage_return_is_refused(self):
        one = csv_of(record(1))
        for what, line in [
            ("at the line's end", b"NEW,2,100,2024-05-06,Ann,2026-06-30\r\n"),
            ("in a field", b"NEW,2,100,2024-05-06,A\rn,2026-06-30\n"),
            ("after a quoted field", b'NEW,2,100,2024-05-06,Ann,"2026-06-30"\r\n'),
        ]:
            with self.subTest(what):
                self.assert_refused_however_cut("malformed", one + line)

    def test_a_bare_carriage_return_beside_a_backslash_is_refused(self):
        # The chunk ends inside a quoted field, or holds the backslash dialect: it is read line by line.
        line = b"NEW,2,100,2024-05-06,A\rn,2026-06-30\n"
        inches = csv_of(record(3, name='5\\" x'), backslash=True)
        error = self.assert_refused("malformed", inches + line)
        self.assertIn("NEW,2,100,2024-05-06,A·n", error.detail)
        error = self.assert_refused("malformed", inches + line.replace(b"100", b'"100"'))
        self.assertIn('NEW,2,"100",2024-05-06,A·n', error.detail)

    def test_a_stream_that_ends_inside_a_record_is_refused(self):
        body = csv_of(record(1), record(2, name="a\nb, c"))
        last = csv_of(record(1))
        for end in range(len(last) + 1, len(body)):
            error = self.assert_refused("truncated", body[:end])
            self.assertIn("inside record 2", error.detail)

    def test_a_record_that_does_not_meet_the_condition_is_refused(self):
        table = [
            (record(2, company="101"), "company 101, asked for was 100"),
            (record(2, company="1000"), "company 1000, asked for was 100"),
            (record(2, company=""), "company , asked for was 100"),
            (record(2, company="1 0"), "company 1 0, asked for was 100"),
            (record(2, date="2023-12-31"), "date 2023-12-31, asked for was [2024-01-01, 2025-01-01)"),
            (record(2, date="2025-01-01"), "date 2025-01-01, asked for was [2024-01-01, 2025-01-01)"),
            (record(2, date=""), "date , asked for was"),
            (record(2, date="2025-01-01 x"), "date 2025-01-01 x, asked for was"),
            (record(2, date='2025-1 "x"'), 'date 2025-1 "x", asked for was'),
            (record(2, date='1 "x", "y"'), 'date 1 "x", "y", asked for was'),
            (record(2, company='1 "x"'), 'company 1 "x", asked for was 100'),
            (record(2, company='"'), 'company ", asked for was 100'),
        ]
        for row, told in table:
            for name in ("Ann", "a, b", "back\\slash"):
                with self.subTest(row=row, name=name):
                    bad = (*row[:4], name, row[5])
                    error = self.assert_refused("foreign", csv_of(record(1), bad, record(3)))
                    self.assertIn(f" has {told}", error.detail)

    def test_conditions_on_several_columns_are_checked(self):
        layout = Layout(header=HEADER, key="id", equal={"company": "100", "name": "O'Neil, Ann"})
        good = record(1, name="O'Neil, Ann")
        self.assertEqual(read(csv_of(good), layout=layout).records, 1)
        for bad in (record(2), record(2, name="O'Neil, Ann", company="7")):
            self.assert_refused("foreign", csv_of(good, bad), layout=layout)

    def test_bounds_are_half_open_and_may_be_missing(self):
        for low, high, inside, outside in [
            ("2024-02", "2024-03", ["2024-02", "2024-02-29", "2024-02 x"], ["2024-01-31", "2024-03", "2024-03-01", ""]),
            ("", "2024-03", ["", "2024-02", "0001", '1"'], ["2024-03", "2025", '9"9"', '9 "9"', "9 9"]),
            ("2024-02", "", ["2024-02", "2025", "9999", '9 "9"'], ["2024-01", "", '1"1"', '"']),
            ("", "", ["", "x", '"'], []),
        ]:
            layout = Layout(header=HEADER, key="id", between=("date", low, high), volatile=LAYOUT.volatile)
            for date in inside:
                with self.subTest(low=low, high=high, inside=date):
                    self.assertEqual(read(csv_of(record(1, date=date)), layout=layout).records, 1)
                    self.assertEqual(read(csv_of(record(1, date=date, name="\\")), layout=layout).records, 1)
            for date in outside:
                with self.subTest(low=low, high=high, outside=date):
                    self.assert_refused("foreign", csv_of(record(1, date=date)), layout=layout)
                    self.assert_refused("foreign", csv_of(record(1, date=date, name="\\")), layout=layout)

    def test_a_key_that_comes_twice(self):
        rows = [record(number) for number in (5, 3, 4, 30, 3, 5)]
        error = self.assert_refused("repeated_key", csv_of(*rows))
        self.assertEqual(error.detail, "id 3 occurs more than once")

    def test_a_key_that_comes_twice_in_different_chunks(self):
        body = csv_of(record(7), record(8), record(7))
        self.assert_refused_however_cut("repeated_key", body)

    def test_a_key_that_comes_twice_in_different_paths(self):
        table = [
            ("7", "7"),
            ("a b", "a b"),
            ("", ""),
            ("007", "007"),
            ("0", "0"),
            ("1234567890123456789", "1234567890123456789"),
            ("999999999999999999", "999999999999999999"),
            ("O'Neil, Ann", "O'Neil, Ann"),
            ("5\\", "5\\"),
        ]
        for one, two in table:
            for names in itertools.product(["Ann", "a, b", "back\\slash"], repeat=2):
                with self.subTest(key=one, names=names):
                    rows = [record(one, name=names[0]), record(two, name=names[1])]
                    body = csv_of(*rows)
                    self.assert_refused("repeated_key", body)
                    self.assert_refused("repeated_key", body, len(csv_of(rows[0])))

    def test_keys_that_only_look_alike_are_different(self):
        keys = ["7", "07", "007", "0", "00", "", " 7", "7 ", "-7", "+7", "7.0", "७", "1" * 18, "1" * 19, "1" * 30]
        self.assertEqual(read(csv_of(*map(record, keys))).records, len(keys))
        rows = [record(key, name="\\") for key in keys]
        self.assertEqual(read(csv_of(*rows)).records, len(keys))

    def test_a_quoted_field_without_end(self):
        start = csv_of(record(1)) + b'NEW,2,100,2024-05-06,"'
        reader = RecordReader(LAYOUT)
        reader.feed(start)
        with self.assertRaises(RecordError) as caught:
            for _ in range(3):
                reader.feed(b"x" * (LONGEST_RECORD_BYTES // 2))
        self.assertEqual(caught.exception.reason, "malformed")
        self.assertEqual(caught.exception.detail, "record 2 has no end within 1048576 bytes")

    def test_a_record_of_the_longest_size_is_read(self):
        name = "x" * (1024 * 1024 - 100)
        body = csv_of(record(1, name=name))
        self.assertEqual(read(body, *range(1, len(body), 100_000)).records, 1)

    def test_a_tail_of_exactly_the_longest_size_may_still_become_a_record(self):
        line = csv_of(record(1, name="x" * 1024 * 1024))[len(HEAD) :]
        for size, reason in [(1024 * 1024, None), (1024 * 1024 + 1, "malformed")]:
            for pieces in ([HEAD + line[:size]], [HEAD, line[:size]], [HEAD + line[:9], line[9:size]]):
                reader = RecordReader(LAYOUT)
                try:
                    for piece in pieces:
                        reader.feed(piece)
                    found = None
                except RecordError as error:
                    found = error.reason
                self.assertEqual(found, reason)

    def test_a_record_of_the_most_lines_is_read(self):
        for lines, reason in [(1001, None), (1002, "malformed")]:
            body = csv_of(record(1, name='5\\" x' + "\n" * (lines - 1)), backslash=True)
            if reason is None:
                self.assertEqual(read(body).records, 1)
            else:
                self.assert_refused(reason, body)

    def test_an_open_quote_is_refused_within_bounded_memory(self):
        reader = RecordReader(LAYOUT)
        reader.feed(csv_of(record(1)) + b'NEW,2,100,2024-05-06,"open,2026-06-30\n')
        with self.assertRaises(RecordError) as caught:
            for _ in range(100):
                reader.feed(b"NEW,3,100,2024-05-06,Ann,2026-06-30\n" * 300)
        self.assertEqual(caught.exception.reason, "malformed")

    def test_many_lines_that_never_become_a_record_are_refused(self):
        body = csv_of(record(1)) + b'NEW,2,100,2024-05-06,"open,2026-06-30\n' + b"a\n" * 2000
        error = self.assert_refused("malformed", body)
        self.assertIn('cannot be read: NEW,2,100,2024-05-06,"open', error.detail)

    def test_messages_hold_no_control_characters_and_are_short(self):
        error = self.assert_refused("error_row", HEAD + b"\x1b[31m\x00\xff\xe2\x80\xa8" + b"x" * 5000 + b"\n")
        self.assertTrue(error.detail.isprintable(), error.detail)
        self.assertLess(len(error.detail), 250)

    def test_a_bare_field_with_a_backslash_and_a_quote_is_not_misread(self):
        # A source writes "…\"…", never bare; taken for a record, its line would break another one in two.
        for rows in ([record(1, name='a\\"\nNEW,2,100,2024-05-06,\\')],):
            for backslash in (False, True):
                body = csv_of(*rows, backslash=backslash)
                for cut in range(len(body) + 1):
                    try:
                        found = read(body, cut)
                    except RecordError:
                        continue
                    self.assertEqual(found.records, 1, (backslash, cut))


class KeySetCase(unittest.TestCase):
    def test_the_smallest_repeated_key_is_found(self):
        table = [
            ([], None),
            ([b"1", b"2"], None),
            ([b"10", b"9", b"10", b"9"], "9"),
            ([b"a", b"b", b"b", b"a"], "a"),
            ([b"a", b"b", b"b"], "b"),
            ([b"1", b"2", b"2"], "2"),
            ([b"a", b"a", b"7", b"7"], "7"),
            ([b"a", b"a", b"7", b"8"], "a"),
            ([b"\xff", b"\xff"], "\ufffd"),
            ([b"0", b"00"], None),
            ([b"0", b"0"], "0"),
            ([b"1" * 19, b"1" * 19], "1" * 19),
        ]
        for keys, repeated in table:
            with self.subTest(keys):
                one_by_one = KeySet()
                for key in keys:
                    one_by_one.add(key)
                self.assertEqual(one_by_one.first_repeated(), repeated)
                at_once = KeySet()
                if keys:
                    at_once.add_all(keys)
                self.assertEqual(at_once.first_repeated(), repeated)

    def test_numeric_keys_are_kept_in_eight_bytes(self):
        keys = KeySet()
        keys.add_all([b"1", b"999999999999999999"])
        keys.add(b"0")
        keys.add_all([b"0", b"12"])
        self.assertEqual(list(keys._numbers), [1, 999999999999999999, 0, 0, 12])
        self.assertEqual(keys._others, [])
        keys.add_all([b"01", b"1000000000000000000", b"", b"x"])
        self.assertEqual(keys._others, [b"01", b"1000000000000000000", b"", b"x"])


class RecordsHandedOut(ReadingCase):
    ROWS = (
        record(1),
        record(2, name="O'Neil, Ann"),
        record(3, name='a 5" nail', kind="ADD"),
        record(4, name="two\nlines"),
        record(5, name='a 5\\" nail, long'),
        record(6, name="C:\\dir\\x"),
        record(7, name="\N{SNOWMAN}", kind="", published=""),
        record(8, kind="NEW, 2"),
    )

    def taken(self, body: bytes, *cuts: int, layout: Layout) -> list[Record]:
        reader = RecordReader(layout, handing_out=True)
        found = []
        for start, end in itertools.pairwise([0, *cuts, len(body)]):
            reader.feed(body[start:end])
            found += reader.take()
        summary = reader.finish()
        total = sum(int.from_bytes(one.digest) for one in found) % 2**256
        self.assertEqual((len(found), f"{total:064x}"), (summary.records, summary.content_hash))
        return sorted(found)

    def test_key_mark_and_digest_of_every_record_are_handed_out(self):
        marks = [(row[1].encode(), row[0].encode()) for row in self.ROWS]
        for backslash in (False, True):
            body = csv_of(*self.ROWS, backslash=backslash)
            for cut in range(len(body) + 1):
                found = self.taken(body, cut, layout=replace(LAYOUT, mark="type"))
                self.assertEqual([(one.key, one.mark) for one in found], marks)
        digest = hashlib.sha256(b'2,100,2024-05-06,"O\'Neil, Ann"').digest()
        self.assertEqual(found[1].digest, digest)

    def test_a_mark_is_handed_out_only_if_the_layout_names_one(self):
        body = csv_of(*self.ROWS)
        for mark, values in [("date", {b"2024-05-06"}), ("", {None})]:
            self.assertEqual({one.mark for one in self.taken(body, layout=replace(LAYOUT, mark=mark))}, values)
