import json
import signal
import socket
import threading
from dataclasses import replace

import duckdb

from data_pipeline.lakehouse import query
from data_pipeline.lakehouse.database import Limits
from etl_core.errors import DataError, StoppedError, UnavailableError, UsageError
from etl_core.lake.s3 import S3Access
from etl_core.stop import Stop
from packages.data_pipeline.tests.unit.folder_case import FolderCase

HOSTILE = "\x1b[31m=cmd|' /C calc'!A0\n<b>\x00</b>"


class QueryCase(FolderCase):
    def setUp(self) -> None:
        super().setUp()
        self.stop = Stop()
        # The folder's name is a pattern, and names columns; neither may count.
        self.pinned = [
            self.a_table(2023, [(1, "12.30", "x")]),
            self.a_table(2024, [(2, "0.10", HOSTILE), (3, None, None)]),
        ]
        (self.folder / "scratch").mkdir()
        self.secret = self.folder / "secret.csv"
        self.secret.write_text("a\nsecret\n")

    def a_table(self, year: int, rows: list[tuple[int, str | None, str | None]]) -> query.PinnedTable:
        path = self.folder / f"release=of[old]/year={year - 1000}/payments.parquet"
        path.parent.mkdir(parents=True)
        with duckdb.connect() as database:
            database.execute("CREATE TABLE one (id BIGINT, amount DECIMAL(18,2), note VARCHAR)")
            database.executemany("INSERT INTO one VALUES (?, ?, ?)", rows)
            database.execute(f"COPY one TO '{path}' (FORMAT parquet)")
        return query.PinnedTable(
            "payments",
            "all-payments",
            year,
            f"{year}-06-30-abc",
            "b0b0b0b0",
            "r1",
            year == 2023,
            len(rows),
            (str(path),),
        )

    def open(self):
        return query.open_tables(self.pinned, Limits(256, 2), self.folder / "scratch", self.stop)

    def rows(self, question: str) -> list[query.Cells]:
        with self.open() as tables:
            return list(tables.ask(question).rows)

    def test_an_s3_that_does_not_answer_is_unavailable_and_no_damage(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        access = S3Access("lake", f"http://127.0.0.1:{port}", "us-east-1", "key", "secret", "")
        there = replace(self.pinned[0], files=("s3://lake/payments.parquet",))

        with (
            self.assertRaisesRegex(UnavailableError, "did not give DuckDB a file of the lake"),
            query.open_tables([there], Limits(256, 2), self.folder / "scratch", self.stop, access),
        ):
            self.fail("it was opened")

    def test_a_table_has_the_rows_of_all_its_years_with_year_and_release(self):
        self.assertEqual(
            self.rows("SELECT id, year, release, sum(amount) FROM payments GROUP BY ALL ORDER BY id"),
            [
                ("1", "2023", "2023-06-30-abc", "12.30"),
                ("2", "2024", "2024-06-30-abc", "0.10"),
                ("3", "2024", "2024-06-30-abc", None),
            ],
        )

    def test_whatever_only_reads_is_run(self):
        for question in (
            "FROM payments", "VALUES (1)", "WITH a AS (SELECT 1) SELECT * FROM a;", "DESCRIBE payments",
            "SUMMARIZE payments",
            "EXPLAIN SELECT 1", "explain analyze SELECT count(*) FROM payments", "EXPLAIN (FORMAT json) SELECT 1",
            "-- a note\nSELECT 1", "SHOW TABLES",
        ):  # fmt: skip
            with self.subTest(question):
                self.assertNotEqual(self.rows(question), [])

    def test_whatever_writes_or_sets_is_refused_and_the_files_stay(self):
        path = self.pinned[0].files[0]
        before = {one: one.read_bytes() for one in self.folder.rglob("*") if one.is_file()}
        write = f"COPY (SELECT 1) TO '{path}' (FORMAT parquet, USE_TMP_FILE false)"
        for question in (
            write, f"EXPLAIN ANALYZE {write}", f"EXPLAIN (ANALYZE) {write}", f"EXPLAIN(ANALYZE, FORMAT json) {write}",
            f"/**/ EXPLAIN ANALYZE {write}", f"explain /**/ analyze {write}", f"EXPLAIN EXPLAIN ANALYZE {write}",
            f"SELECT 1; {write}", f"PREPARE p AS {write}", f"SELECT 1) TO '{path}' --",
            f"EXPORT DATABASE '{self.folder}/x'",
            "CREATE TABLE t (a INT)", "CREATE MACRO m() AS 1", "DROP VIEW payments", "ATTACH 'x.db'", "INSTALL httpfs",
            "LOAD httpfs", "SET threads = 1", "PRAGMA enable_external_access = true", "RESET lock_configuration",
            "CALL pragma_version()", "PIVOT payments ON id USING sum(amount)", "SELECT 1; SELECT 2", "", ";",
            "nonsense",
        ):  # fmt: skip
            with self.subTest(question), self.assertRaises(UsageError):
                self.rows(question)
        self.assertEqual({one: one.read_bytes() for one in self.folder.rglob("*") if one.is_file()}, before)

    def test_nothing_but_the_files_of_the_tables_can_be_read(self):
        pinned = self.pinned[0].files[0]
        for source in (
            f"read_csv('{self.secret}')", f"'{self.secret}'", f"read_text('{self.secret}')", f"glob('{self.folder}/*')",
            f"read_text('{pinned}/../../../secret.csv')", "read_csv('https://example.org/x.csv')",
            "read_parquet('s3://another/x.parquet')", "secret", f"sniff_csv('{self.secret}')", "duckdb_secrets()",
        ):  # fmt: skip
            with self.subTest(source), self.assertRaisesRegex(UsageError, "DuckDB says: (Permission|Catalog) Error"):
                self.rows(f"SELECT * FROM {source}")

    def test_what_a_question_turns_on_writes_no_file(self):
        before = {one: one.read_bytes() for one in self.folder.rglob("*") if one.is_file()}
        pinned, free = self.pinned[0].files[0], f"{self.folder}/written.txt"
        for source in (
            *(f"enable_logging(level = 'trace', storage = 'file', storage_path = '{path}')" for path in (pinned, free)),
            "enable_logging(level = 'trace', storage = 'stdout')", f"enable_profiling(save_location = '{free}')",
            "query('FROM enable_profiling()')", "checkpoint()",
        ):  # fmt: skip
            with self.subTest(source):
                question = f"SELECT count(write_log('x')) FROM payments, (SELECT count(*) FROM {source})"
                self.assertEqual(self.rows(question), [("0",)])
        self.assertEqual({one: one.read_bytes() for one in self.folder.rglob("*") if one.is_file()}, before)

    def test_cells_in_a_terminal_are_printable(self):
        with self.open() as tables:
            answer = tables.ask("SELECT note, repeat('x', 200000) AS long FROM payments")
            lines = list(answer.lines("table"))
        self.assertTrue(all(line.endswith("\n") and line[:-1].isprintable() for line in lines))
        self.assertEqual((len(lines), lines[0].split()), (5, ["note", "long"]))
        self.assertLess(max(map(len, lines)), 150)
        self.assertIn("NULL", "".join(lines))

    def test_a_table_of_more_rows_than_a_batch_is_whole(self):
        with self.open() as tables:
            lines = list(tables.ask("SELECT range FROM range(2500)").lines("table"))
        self.assertEqual([line.strip() for line in lines[2:]], [str(one) for one in range(2500)])

    def test_csv_and_json_hold_every_cell_as_it_is(self):
        question = "SELECT amount, note FROM payments ORDER BY id"
        with self.open() as tables:
            text = "".join(tables.ask(question).lines("csv"))
            objects = [json.loads(one, parse_float=str) for one in tables.ask_for_json(question)]
        self.assertEqual(text, f'amount,note\r\n12.30,x\r\n0.10,"{HOSTILE}"\r\n,\r\n')
        self.assertEqual([one["amount"] for one in objects], ["12.30", "0.10", None])
        self.assertEqual([one["note"] for one in objects], ["x", HOSTILE, None])

    def test_parquet_keeps_the_types(self):
        with self.open() as tables:
            found = duckdb.read_parquet(
                str(tables.ask_for_file("SELECT amount, year FROM payments ORDER BY id LIMIT 1"))
            )
        self.assertEqual([str(one) for one in found.types], ["DECIMAL(18,2)", "INTEGER"])
        self.assertEqual(len(found.fetchall()), 1)

    def test_a_plan_is_printed_line_by_line(self):
        with self.open() as tables:
            lines = list(tables.ask("EXPLAIN SELECT id FROM payments").lines("table"))
        self.assertGreater(len(lines), 5)
        self.assertIn("READ_PARQUET", "".join(lines))

    def test_a_missing_file_is_named_when_the_tables_are_opened(self):
        self.pinned[0] = replace(self.pinned[0], files=(str(self.folder / "gone.parquet"),))
        with self.assertRaisesRegex(DataError, "payments cannot be opened: .*gone.parquet"), self.open():
            pass

    def test_a_question_that_takes_long_ends_when_the_job_is_stopped(self):
        timer = threading.Timer(0.5, self.stop.request, (signal.SIGINT,))
        timer.start()
        with self.assertRaises(StoppedError):
            self.rows("SELECT count(*) FROM range(1000000) a, range(1000000) b")
        timer.join()
