"""The reader against tables we know, Python's csv module, DuckDB, and every reading there is."""

import itertools
import random
import tempfile
import unittest
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl_core.csv_stream.layout import Layout
from etl_core.csv_stream.reader import RecordError, RecordReader, Summary
from packages.etl_core.tests.support.tables import content_hash, php_csv, possible_counts, python_csv

QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)
THOROUGH = settings(
    max_examples=1000, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck)
)

NASTY = [
    "C:\\",
    '5\\" x',
    '\\"',
    '"',
    '""',
    ",",
    "\n",
    "\r\n",
    " ",
    "\\",
    '\\",',
    '",\\',
    '\\"\n',
    "\u2028",
    "\x0b",
    "",
]
FIELDS = st.one_of(
    st.sampled_from(["", "Ann", "0", "2024-05-06", 'a, "b"', '"a","b"', '",', 'x "y"\n, z']),
    st.text(st.sampled_from("a\"\\,\n\r\t \u2028é\x0b\x0c'\x85;"), max_size=7),
    st.lists(st.sampled_from(NASTY), max_size=4).map("".join),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)
KEYS = st.one_of(st.integers(0, 10**20).map(str), FIELDS)


@st.composite
def tables(draw, fields=FIELDS, keys=KEYS):
    """A header, its rows, the number of the key column, the columns left out of the content hash."""
    width = draw(st.integers(2, 5))
    header = [f"c{index}" for index in range(width)]
    key = draw(st.integers(0, width - 1))
    rows = []
    for value in draw(st.lists(keys, max_size=5, unique=True)):
        row = draw(st.lists(fields, min_size=width, max_size=width))
        row[key] = value
        rows.append(row)
    volatile = draw(st.sampled_from([(0, width - 1), (0, width - 1), (), (0,), (width - 1,)]))
    return header, rows, key, sorted(set(volatile))


def layout_of(table) -> Layout:
    header, _, key, volatile = table
    return Layout(header=tuple(header), key=header[key], volatile=frozenset(header[index] for index in volatile))


def read(layout, body, cuts=()) -> tuple[Summary, list[bytes]]:
    """What the reader says of ``body`` cut there, and the keys it saw."""
    reader = RecordReader(layout)
    for start, end in itertools.pairwise([0, *cuts, len(body)]):
        reader.feed(body[start:end])
    seen = [str(key).encode() if isinstance(key, int) else key for key in reader.keys]
    return reader.finish(), sorted(seen)


def some_cuts(body, chance):
    """Every single cut of a small body; else a few single ones, many at once, and all."""
    if len(body) <= 120:
        yield from ([cut] for cut in range(len(body) + 1))
    else:
        yield from ([chance.randrange(len(body))] for _ in range(10))
    for _ in range(5):
        yield sorted(chance.choices(range(len(body) + 1), k=chance.randrange(2, 12)))
    yield list(range(1, len(body)))


def check_table(table, backslash, chance):
    """Read as it is, or refused where a backslash stands before a quote; never misread."""
    header, rows, key, volatile = table
    layout = layout_of(table)
    body = php_csv(header, rows, backslash=backslash)
    expected = (len(rows), content_hash(rows, volatile), sorted(row[key].encode() for row in rows))
    for cuts in [[], *some_cuts(body, chance)]:
        try:
            summary, keys = read(layout, body, cuts)
        except RecordError:
            assert b'\\"' in body, (body, cuts)
        else:
            assert (summary.records, summary.content_hash, keys) == expected, (body, cuts)
            assert summary.bytes == len(body)


def check_against_python(table):
    header, rows, _, _ = table
    body = php_csv(header, rows, backslash=False)
    found = python_csv(body)
    assert found is not None
    assert [[field.encode("latin-1").decode() for field in row] for row in found] == [header, *rows]


def duckdb_csv(body, header):
    """The records that DuckDB reads in RFC 4180."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        Path(file.name).write_bytes(body)
        return duckdb.read_csv(
            file.name,
            auto_detect=False,
            columns=dict.fromkeys(header, "VARCHAR"),
            header=True,
            delimiter=",",
            quotechar='"',
            escapechar='"',
            strict_mode=True,
            null_padding=False,
        ).fetchall()


def check_against_duckdb(table):
    header, rows, key, _ = table
    body = php_csv(header, rows, backslash=False)
    found = duckdb_csv(body, header)
    try:
        summary, keys = read(layout_of(table), body)
    except RecordError:
        assert b'\\"' in body
    else:
        assert summary.records == len(found)
        assert keys == sorted((row[key] or "").encode() for row in found)


def check_permutation(table, chance):
    header, rows, _, volatile = table
    layout = layout_of(table)
    shuffled = [
        [f"v{chance.randrange(9)}" if index in volatile else field for index, field in enumerate(row)] for row in rows
    ]
    chance.shuffle(shuffled)
    key_is_volatile = layout.key in layout.volatile
    hashes = set()
    for body in [
        php_csv(header, table_rows, backslash=backslash)
        for table_rows in ([rows] if key_is_volatile else [rows, shuffled])
        for backslash in (False, True)
    ]:
        try:
            hashes.add(read(layout, body)[0].content_hash)
        except RecordError:
            assert b'\\"' in body, body
    assert len(hashes) <= 1


def check_repeated_key(table, chance):
    header, rows, key, _ = table
    if not rows:
        return
    copied = list(chance.choice(rows))
    for index in range(len(header)):
        if index != key:
            copied[index] = "other"
    doubled = [*rows, copied]
    chance.shuffle(doubled)
    body = php_csv(header, doubled, backslash=False)
    for cuts in [[], *some_cuts(body, chance)]:
        with pytest.raises(RecordError) as caught:
            read(layout_of(table), body, cuts)
        assert caught.value.reason == "repeated_key" or b'\\"' in body


# Fields for which the backslash dialect must be read, not refused: no line breaks, no backslash at the
# end, and no backslash and quote right before a comma.
def is_plain(field):
    return not field.endswith("\\") and '\\",' not in field and "\n" not in field and "\r" not in field


PLAIN_FIELDS = st.one_of(
    st.lists(st.sampled_from(['\\"', '"', ",", "\\", "x", " ", '5\\" x', "C:\\dir"]), max_size=5).map("".join), FIELDS
).filter(is_plain)


def properties_at(depth: settings) -> type[unittest.TestCase]:
    class Properties(unittest.TestCase):
        @depth
        @given(tables(), st.booleans(), st.randoms(use_true_random=False))
        def test_a_table_is_read_as_it_was_or_refused(self, table, backslash, chance):
            check_table(table, backslash, chance)

        @depth
        @given(tables())
        def test_python_reads_the_same_rfc_4180(self, table):
            check_against_python(table)

        @settings(depth, max_examples=depth.max_examples // 3)
        @given(tables())
        def test_duckdb_reads_the_same_rfc_4180(self, table):
            check_against_duckdb(table)

        @depth
        @given(tables(), st.randoms(use_true_random=False))
        def test_order_dialect_and_volatile_columns_do_not_change_the_content_hash(self, table, chance):
            check_permutation(table, chance)

        @depth
        @given(tables(), st.randoms(use_true_random=False))
        def test_a_repeated_key_is_found_however_the_stream_is_cut(self, table, chance):
            check_repeated_key(table, chance)

        @depth
        @given(tables(PLAIN_FIELDS, PLAIN_FIELDS))
        def test_backslashes_within_a_line_are_no_reason_to_refuse(self, table):
            header, rows, _, volatile = table
            for backslash in (False, True):
                summary, _ = read(layout_of(table), php_csv(header, rows, backslash=backslash))
                self.assertEqual(summary.content_hash, content_hash(rows, volatile))

    return Properties


QuickProperties = properties_at(QUICK)
ThoroughProperties = pytest.mark.long(properties_at(THOROUGH))


# ------------------------------------------------------------------------------- every small table there is

TWO = Layout(header=("k", "v"), key="k")


def check_every_field(alphabet, longest, table=TWO):
    """Each field of up to so many letters, in both dialects, cut everywhere."""
    accepted = refused = 0
    for letters in itertools.chain.from_iterable(
        itertools.product(alphabet, repeat=length) for length in range(longest + 1)
    ):
        field = "".join(letters)
        for backslash in (False, True):
            body = php_csv(table.header, [["1", field]], backslash=backslash)
            expected = content_hash([["1", field]], [])
            for cut in [0, *range(len("k,v\n") + 1, len(body))]:
                try:
                    summary, _ = read(table, body, [cut])
                except RecordError:
                    assert b'\\"' in body, (field, backslash, cut)
                    refused += 1
                else:
                    accepted += 1
                    assert (summary.records, summary.content_hash) == (1, expected), (field, backslash, cut)
    return accepted, refused


class EverySmallField(unittest.TestCase):
    def test_no_field_of_four_letters_is_misread(self):
        accepted, refused = check_every_field('a\\",\n', 4)
        self.assertGreater(accepted, 50 * refused)

    @pytest.mark.long
    def test_no_field_of_five_letters_is_misread(self):
        check_every_field('a\\",\n', 5)
        check_every_field('\\",\n', 6)


# ---------------------------------------------------------------------------------------------- damaged files

ROWS = [
    ["N", "1", "O'Neil, Ann", "x"],
    ["N", "22", 'say "hi"', ""],
    ["C", "333", "two\nlines, and\r\nthree", "x y"],
    ["N", "4", '5\\" x 6', "x"],
    ["N", "5", "C:\\dir x", "C:\\"],
    ["N", "6", "", "end"],
]
FOUR = Layout(header=("t", "id", "name", "p"), key="id", volatile=frozenset({"t", "p"}))
BYTES = b'"",,\n\n\r\\\\ aN1\x00\xff\xfe\xe2'


def damaged(body, chance):
    """A valid body after one to three random changes."""
    raw = bytearray(body)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        at = chance.randrange(len(raw)) if raw else 0
        match chance.randrange(7):
            case 0:
                del raw[at : at + 1]
            case 1:
                raw.insert(at, chance.choice(BYTES))
            case 2:
                raw[at:at] = raw[at : at + chance.choice([1, 1, 1, 5, 30])]
            case 3:
                del raw[at:]
            case 4:
                other = chance.randrange(len(raw)) if raw else 0
                if raw:
                    raw[at], raw[other] = raw[other], raw[at]
            case 5:
                raw[at : at + 1] = bytes([chance.choice(BYTES)])
            case _:
                del raw[at : at + chance.choice([2, 10, 40])]
    return bytes(raw)


def check_damaged(body, layout, cuts):
    """Refused, or read with the count that Python's csv finds, or the one that any reading at all finds."""
    try:
        summary, keys = read(layout, body, cuts)
    except RecordError:
        return False
    width = len(layout.header)
    _, _, rest = body.partition(b"\n")
    # Python takes a carriage return for a line end and a quote within an unquoted field for text.
    if b'\\"' not in body or possible_counts(rest, width, backslash=False):
        found = python_csv(body)
        assert found is not None, (body, cuts)
        assert all(len(row) == width for row in found), (body, cuts, found)
        assert summary.records == len(found) - 1, (body, cuts, found)
        key = layout.header.index(layout.key)
        assert keys == sorted(row[key].encode("latin-1") for row in found[1:]), (body, cuts, found)
    assert possible_counts(rest, width, backslash=True) == {summary.records}, (body, cuts)
    return True


def sweep_damaged(rounds, seed):
    chance = random.Random(seed)
    accepted = 0
    for _ in range(rounds):
        rows = chance.sample(ROWS, k=chance.randrange(1, len(ROWS)))
        body = damaged(php_csv(FOUR.header, rows, backslash=chance.random() < 0.5), chance)
        cuts = sorted(chance.choices(range(len(body) + 1), k=chance.choice([0, 1, 1, 3, 8])))
        accepted += check_damaged(body, FOUR, cuts)
    return accepted


def sweep_garbage(rounds, seed):
    chance = random.Random(seed)
    accepted = 0
    for _ in range(rounds):
        body = b"k,v\n" + bytes(chance.choices(b'"""",,,,\n\n\\\\aa11  \r\xff\xfe', k=chance.randrange(1, 24))) + b"\n"
        cuts = sorted(chance.choices(range(len(body) + 1), k=chance.choice([0, 1, 2])))
        accepted += check_damaged(body, TWO, cuts)
    return accepted


class DamagedFiles(unittest.TestCase):
    def test_a_damaged_file_is_refused_or_reads_the_same_elsewhere(self):
        accepted = sweep_damaged(4000, seed=20261121)
        self.assertGreater(accepted, 100)

    def test_garbage_is_refused_or_reads_the_same_elsewhere(self):
        accepted = sweep_garbage(20_000, seed=20261121)
        self.assertGreater(accepted, 100)

    @pytest.mark.long
    def test_many_damaged_files(self):
        sweep_damaged(40_000, seed=1)
        sweep_garbage(200_000, seed=1)

    @pytest.mark.long
    def test_duckdb_reads_damaged_files_that_are_accepted_alike(self):
        chance = random.Random(20261121)
        accepted = 0
        while accepted < 2000:
            rows = chance.sample(ROWS, k=chance.randrange(1, len(ROWS)))
            body = damaged(php_csv(FOUR.header, rows, backslash=False), chance)
            try:
                body.decode()
                summary, _ = read(FOUR, body)
            except (RecordError, UnicodeDecodeError):
                continue
            if b'\\"' not in body and b"\0" not in body:
                self.assertEqual(len(duckdb_csv(body, FOUR.header)), summary.records, body)
                accepted += 1
