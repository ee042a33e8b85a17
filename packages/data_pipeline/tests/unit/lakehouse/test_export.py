import csv
import hashlib
import io
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import duckdb

from data_pipeline.lakehouse import export
from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.facts import ExportedFile
from data_pipeline.lakehouse.query import PinnedTable, open_tables
from data_pipeline.runs.documents import CsvPartAudit
from etl_core.csv_stream.dialect import write_fields
from etl_core.csv_stream.records import fields_of
from etl_core.errors import ConflictError, DataError
from etl_core.lake.directory import DirectoryStore
from etl_core.progress import Progress
from etl_core.stop import Stop
from packages.data_pipeline.tests.unit.folder_case import FolderCase

HEADER = ("Id", "Name", "Note")
START = datetime(2026, 11, 29, tzinfo=UTC)
HOSTILE = [
    ["1", "=cmd|' /C calc'!A0", "@SUM(1)"],
    ["2", "\x1b[31mred\x1b[0m", "<script>alert(1)</script>"],
    ["3", "a\x00b", 'two\nlines, \r\nand "quotes"'],
    ["4", "x" * 200_000, "'; DROP TABLE payments; --"],
    ["5", "", " padded\t"],
]
BACKSLASH = b'Id,Name,Note\n6,"5\\" wide","a,b"\n7,"C:\\",plain\n8,"say ""hi""",\n'


class RunInMemory:
    """Parts by key, read in small chunks."""

    def __init__(self, bodies: dict[str, bytes], chunk: int = 4093) -> None:
        self._bodies, self._chunk = bodies, chunk

    def chunks(self, part: CsvPartAudit) -> Iterator[bytes]:
        body = self._bodies[part.key]
        for start in range(0, len(body), self._chunk):
            yield body[start : start + self._chunk]

    def records(self, part: CsvPartAudit) -> Iterator[list[bytes]]:
        return fields_of(self.chunks(part))


def a_part(key: str, body: bytes, records: int, dialect: str = "rfc4180") -> CsvPartAudit:
    digest = hashlib.sha256(body).hexdigest()
    return CsvPartAudit(
        key=key, records=records, bytes=len(body), sha256=digest, started_at=START, proved_at=START, seconds=1,
        requests=1, retries=0, software={}, dialect=dialect, content_hash=digest, header_hash=digest,
    )  # fmt: skip


def lines(rows: list[list[str]]) -> bytes:
    return b"".join(write_fields([cell.encode() for cell in row]) + b"\n" for row in [list(HEADER), *rows])


class ExportCase(FolderCase):
    def setUp(self) -> None:
        super().setUp()
        bodies = {"hostile": lines(HOSTILE), "backslash": BACKSLASH}
        self.parts = [a_part("hostile", bodies["hostile"], 5), a_part("backslash", BACKSLASH, 3, "backslash")]
        self.stops = 0
        self.export = export.Export(RunInMemory(bodies), HEADER, Progress(), self.note_check)
        self.out = DirectoryStore(self.folder / "out")
        self.addCleanup(self.out.close)
        self.expected = [*HOSTILE, ["6", '5\\" wide', "a,b"], ["7", "C:\\", "plain"], ["8", 'say "hi"', ""]]

    def note_check(self) -> None:
        self.stops += 1

    def written(self, file_format: export.FileFormat = "csv", *, overwrite: bool = False) -> ExportedFile:
        limits = Limits(memory_mb=256, workers=1)
        name = f"all.{file_format}"
        (one,) = export.write_files(self.export, {name: self.parts}, self.out, file_format, limits, overwrite=overwrite)
        return one

    def test_csv_of_both_dialects_holds_every_cell_as_it_is(self):
        body = b"".join(self.export.csv(self.parts))

        self.addCleanup(csv.field_size_limit, csv.field_size_limit(1 << 20))
        with io.StringIO(body.decode(), newline="") as stream:
            self.assertEqual(list(csv.reader(stream, strict=True)), [list(HEADER), *self.expected])
        self.assertEqual(body.count(b"\r\n"), 9 + 1, "the header's, eight records' and one that is data")
        self.assertGreater(self.stops, 5)

    def test_duckdb_reads_the_csv_back(self):
        self.written()
        found = duckdb.read_csv(str(self.folder / "out/all.csv"), all_varchar=True, header=True, max_line_size=1 << 20)
        self.assertEqual([[one or "" for one in row] for row in found.fetchall()], self.expected)

    def test_parquet_holds_the_same_text_and_null_for_nothing(self):
        one = self.written("parquet")

        found = duckdb.read_parquet(str(self.folder / "out/all.parquet"))
        self.assertEqual((found.columns, one.rows), (list(HEADER), 8))
        self.assertEqual({str(kind) for kind in found.types}, {"VARCHAR"})
        self.assertEqual([[cell or "" for cell in row] for row in found.fetchall()], self.expected)
        self.assertEqual(found.filter("\"Name\" = ''").fetchall(), [])

    def test_the_same_export_again_agrees_with_the_file_that_is_there(self):
        for file_format in ("csv", "parquet"):
            with self.subTest(file_format):
                first, again = self.written(file_format), self.written(file_format)
                self.assertEqual((first.status, again.status), ("written", "already there"))
                self.assertEqual(first.sha256, again.sha256)
                self.assertEqual(first.sha256, hashlib.sha256((self.out.root / first.name).read_bytes()).hexdigest())

    def test_another_file_of_the_same_name_is_left_alone_unless_told_otherwise(self):
        there = self.folder / "out/all.csv"
        there.parent.mkdir()
        there.write_text("mine")

        with self.assertRaisesRegex(ConflictError, "all.csv holds something else. .*--overwrite"):
            self.written()
        self.assertEqual(there.read_text(), "mine")

        self.assertEqual(self.written(overwrite=True).status, "written")
        self.assertEqual(there.read_bytes(), b"".join(self.export.csv(self.parts)))

    def test_an_export_that_fails_leaves_no_file(self):
        self.export = export.Export(RunInMemory({"hostile": b""}), HEADER, Progress(), self.note_check)
        with self.assertRaises(KeyError):
            self.written()
        self.out.close()
        self.assertEqual(list((self.folder / "out").iterdir()), [])

    def test_text_that_is_no_utf8_is_passed_on_in_csv_and_refused_with_advice_in_parquet(self):
        body = b'Id,Name,Note\n1,"caf\xe9 au lait",x\n'
        self.parts = [a_part("latin", body, 1)]
        self.export = export.Export(RunInMemory({"latin": body}), HEADER, Progress(), self.note_check)

        self.written()
        self.assertIn(b'"caf\xe9 au lait"', (self.out.root / "all.csv").read_bytes())
        with self.assertRaisesRegex(DataError, "Use --format csv"):
            self.written("parquet")

    def test_memory_does_not_grow_with_the_rows(self):
        peaks = []
        for rows in (1_000, 8_000):
            body = lines([[str(one), "x" * 100, "a b"] for one in range(rows)])
            run = RunInMemory({"big": body}, chunk=1 << 14)
            parts = [a_part("big", body, rows)]
            tracemalloc.start()
            for _ in export.Export(run, HEADER, Progress(), self.note_check).csv(parts):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        self.assertLess(peaks[1], 1.5 * peaks[0])

    def test_only_line_ends_outside_quotes_are_replaced_however_the_bytes_are_cut(self):
        body = b'a,"b\n""c""\n",d\n"\n",e\n""\n'
        for cut in range(len(body)):
            with self.subTest(cut):
                pieces = [body[:cut], body[cut:]]
                changed = b"".join(export.with_line_end(pieces, b"\r\n"))
                self.assertEqual(changed, b'a,"b\n""c""\n",d\r\n"\n",e\r\n""\r\n')


class TablesOfABuild(FolderCase):
    """Typed rows, as ``query`` shows them."""

    def setUp(self) -> None:
        super().setUp()
        self.rows = [(cells[0], cells[1] or None, cells[2], Decimal("12.30")) for cells in HOSTILE]
        path = self.folder / "payments.parquet"
        with duckdb.connect() as database:
            database.execute("CREATE TABLE t (payer VARCHAR, name VARCHAR, note VARCHAR, amount DECIMAL(18,2))")
            database.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", self.rows)
            database.execute(f"COPY t TO '{path}' (FORMAT parquet)")
        table = PinnedTable("payments", "payments", 2024, "a", "00000000", "r1", True, 5, (str(path),))
        self.table = table
        limits = Limits(memory_mb=256, workers=2)
        scratch = self.folder / "scratch"
        scratch.mkdir()
        self.tables = self.enterContext(open_tables([table], limits, scratch, Stop()))
        self.export = export.TableExport(self.tables, Progress())
        self.out = DirectoryStore(self.folder / "out")
        self.addCleanup(self.out.close)

    def written(self, file_format: export.FileFormat, key: str | None = None, only: Sequence[str] = ()) -> list[str]:
        found = export.questions(self.tables, self.table, key, only)
        files = {f"{value or 'all'}.{file_format}": question for value, question in found.items()}
        limits = Limits(memory_mb=256, workers=1)
        done = export.write_files(self.export, files, self.out, file_format, limits, overwrite=False)
        self.assertEqual(sum(one.rows for one in done), len(only) or 5)
        return [one.name for one in done]

    def test_csv_holds_every_cell_as_it_is_under_the_columns_of_the_table(self):
        self.assertEqual(self.written("csv"), ["all.csv"])

        body = (self.folder / "out/all.csv").read_bytes()
        self.addCleanup(csv.field_size_limit, csv.field_size_limit(1 << 20))
        with io.StringIO(body.decode(), newline="") as stream:
            header, *found = csv.reader(stream, strict=True)
        self.assertEqual(header, ["payer", "name", "note", "amount", "dataset", "year", "release"])
        expected = [[one[0], one[1] or "", one[2], "12.30", "payments", "2024", "a"] for one in self.rows]
        self.assertEqual(found, expected)
        self.assertEqual(body.count(b"\r\n"), 6 + 1, "and one that is data")

    def test_parquet_has_the_types_of_the_table(self):
        self.written("parquet")

        found = duckdb.read_parquet(str(self.folder / "out/all.parquet"))
        self.assertEqual([row[:4] for row in found.fetchall()], self.rows)
        self.assertEqual(str(found.types[3]), "DECIMAL(18,2)")

    def test_each_company_has_the_rows_that_are_its_own(self):
        self.assertEqual(self.written("csv", "payer"), [f"{one}.csv" for one in range(1, 6)])
        self.assertEqual(self.written("parquet", "payer", only="53"), ["3.parquet", "5.parquet"])

        (row,) = duckdb.read_parquet(str(self.folder / "out/3.parquet")).fetchall()
        self.assertEqual(row[:4], self.rows[2])
        self.assertEqual(export.questions(self.tables, self.table, "payer", ["9"]), {})
