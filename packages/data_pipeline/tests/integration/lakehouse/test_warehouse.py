"""Builds in a real PostgreSQL; and as Redshift is asked for them, by a stand-in that runs the statements there."""

import re
import tempfile
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import psycopg

from data_pipeline.jobs import _tables as tables
from data_pipeline.lake_layout.lakehouse import build_manifest
from data_pipeline.lake_layout.open_payments import summary_rows
from data_pipeline.lakehouse import builds
from data_pipeline.lakehouse.columns import columns_of
from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.warehouse import Load, SummaryRows
from data_pipeline.lakehouse.warehouse_postgresql import csv_of
from data_pipeline.lakehouse.warehouse_redshift import RedshiftWarehouse
from data_pipeline.open_payments.ledger.summaries import SummaryAudit
from data_pipeline.open_payments.summaries import REPORTING_ENTITIES
from etl_core.aws import RedshiftStatements
from etl_core.errors import DataError
from etl_core.lake import content_of
from etl_core.postgresql import PostgreSql
from packages.data_pipeline.tests.unit.jobs.tables_case import TablesCase
from packages.data_pipeline.tests.unit.lakehouse.lake_case import START
from packages.etl_core.tests.support.postgresql import QUOTED_PASSWORD, SUPERUSER, postgresql_server

SCOPE = "dataset=general-payments/year=2024"
COUNTED = "SELECT count(*), sum(total_amount_of_payment_usdollars), min(release) FROM lake.general_payments"
LIMITS = Limits(256, 1)
SECRET = "secret-of-the-loader"


class WarehouseCase(TablesCase):
    """A lake of two runs of one year, of which ``build`` makes the tables, and an empty schema of a server."""

    url: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.url = cls.enterClassContext(postgresql_server())

    def setUp(self) -> None:
        super().setUp()
        self.asked("DROP SCHEMA IF EXISTS lake CASCADE")

    def build(self, run_id: str) -> Any:
        for job in ("stage", "build_curated"):
            status, _, err = self.run_job(job, "--run-id", run_id)
            self.assertEqual(status, 0, err)
        return builds.current_build(self.store, SCOPE)

    def keep_summary(self, name: str, day: int) -> None:
        """What CMS says of one company in a publication of June."""
        distribution = f"{day:08}-26ca-4035-91c9-9d67297dc77c"
        body = f'Trans_General,AMGPO_Making_Payment_ID,AMGPO_Making_Payment_Name\n3,53,"{name}"\n'.encode()
        key = summary_rows(REPORTING_ENTITIES.name, 2024, distribution, content_of(body))
        audit = SummaryAudit(
            key=key, records=1, bytes=len(body), sha256=content_of(body), started_at=START, proved_at=START, seconds=1,
            requests=3, retries=0, software={}, summary=REPORTING_ENTITIES.name, year=2024, dataset_id="d",
            distribution_id=distribution, modified=f"2026-06-{day}", url="u", condition="c", count_before=1,
            count_after=1,
        )  # fmt: skip
        self.store.put_new(key, body)
        self.store.put_new(audit.place, audit.to_bytes())

    def asked(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def tables(self) -> set[str]:
        """Those behind the views."""
        found = self.asked("SELECT table_name FROM information_schema.tables WHERE table_schema = 'lake'"
                           " AND table_type = 'BASE TABLE'")  # fmt: skip
        return {name for (name,) in found if "_2024_" in name}


class LoadWarehouse(WarehouseCase):
    """As a user who owns the schema, and may create no other."""

    def setUp(self) -> None:
        super().setUp()
        self.asked("DROP ROLE IF EXISTS loader")
        self.asked(f"CREATE ROLE loader LOGIN PASSWORD '{SECRET}'")
        self.asked("CREATE SCHEMA lake AUTHORIZATION loader")
        self.use(SECRET)

    def use(self, password: str) -> None:
        url = self.url.replace(f"{SUPERUSER}:{QUOTED_PASSWORD}", f"loader:{password}")
        Path(".env").write_text(f"WAREHOUSE_URL='{url}'\n", encoding="utf-8")

    def test_every_cell_of_a_build_is_there_under_names_that_postgresql_can_hold_and_a_second_run_loads_nothing(self):
        build = self.build("first")
        said = ""
        for expected in ("loaded", "already loaded"):
            before = self.files()
            status, fact, err = self.run_job("load_warehouse", "--year", "2024")
            self.assertEqual((status, fact["status"], fact["rows"]), (0, expected, build.rows), err)
            said += f"{fact}{err}"
        self.assertEqual(self.files(), before, "the second run writes nothing")
        self.assertNotIn(SECRET, said)
        for path in self.lake.rglob("metadata/logs/**/*"):
            self.assertFalse(path.is_file() and SECRET.encode() in path.read_bytes())

        for name, files in build.tables.items():
            with self.subTest(name), duckdb.connect() as database:
                listed = [str(self.lake / one.key) for one in files]
                theirs = database.execute(
                    f"SELECT *, '{build.dataset}', 2024, '{build.release}'"
                    f" FROM read_parquet({listed}, hive_partitioning=false)"
                )
                self.assertEqual(
                    set(map(repr, self.asked(f"SELECT * FROM lake.{name}"))), set(map(repr, theirs.fetchall()))
                )
        self.assertEqual(self.asked("SELECT count(*) FROM lake.ownership_payments"), [(0,)])
        ((rows, amount, closed),) = self.asked("SELECT rows, amount_usd, closed FROM lake.builds")
        self.assertEqual((rows, amount, closed), (build.rows, build.amounts["total_amount_of_payment_usdollars"], True))

    def test_what_cms_says_of_the_year_is_there_and_a_newer_publication_takes_its_place_beside_the_same_build(self):
        build = self.build("first")
        asked = "SELECT amgpo_making_payment_name, trans_general, trans_invested, year, release FROM lake."
        for day, name in ((10, "O'Neil \\' Söhne: 100 %"), (30, "Acme")):
            self.keep_summary(name, day)
            for expected in ("loaded", "already loaded"):
                status, fact, err = self.run_job("load_warehouse", "--year", "2024")
                self.assertEqual((status, fact["status"]), (0, expected), err)
                said = [(name, "3", None, 2024, f"2026-06-{day}-{day:08}")]
                self.assertEqual(self.asked(f"{asked}cms_reporting_entities"), said)

        self.assertEqual(self.asked("SELECT count(*) FROM lake.cms_teaching_hospitals"), [(0,)])
        self.assertEqual(self.asked(COUNTED)[0][0], build.rows)

    def test_a_newer_build_takes_the_place_of_the_older_one_which_is_removed(self):
        for run_id in ("first", "second"):
            build = self.build(run_id)
            self.assertEqual(self.run_job("load_warehouse", "--year", "2024")[0], 0)

        self.assertEqual(self.asked(COUNTED)[0][2], build.release)
        self.assertEqual(self.asked("SELECT run_id FROM lake.builds"), [("second",)])
        self.assertEqual({name[-8:] for name in self.tables()}, {build.build})

    def test_what_is_not_the_manifests_is_refused_and_the_earlier_load_stays(self):
        self.build("first")
        self.assertEqual(self.run_job("load_warehouse", "--year", "2024")[0], 0)
        before, tables_before = self.asked(COUNTED), self.tables()
        second = self.build("second")
        sums = {name: value + Decimal("0.01") for name, value in second.amounts.items()}
        changed = second.model_copy(update={"number": second.number + 1, "amounts": sums})
        self.store.put_new(build_manifest(SCOPE, changed.number), changed.to_bytes())
        for problem, message in (
            ("sums", "of build .* the warehouse got"),
            ("bytes", "not the file that its manifest"),
        ):
            with self.subTest(problem):
                if problem == "bytes":
                    (self.lake / second.files[0].key).write_bytes(b"x")
                status, fact, _ = self.run_job("load_warehouse", "--year", "2024")
                self.assertEqual((status, fact["error"]), (3, "DataError"))
                self.assertRegex(fact["message"], message)
                self.assertEqual((self.asked(COUNTED), self.tables()), (before, tables_before))

    def test_a_password_that_is_refused_is_not_said(self):
        self.build("first")
        self.use("hunter2")

        status, fact, err = self.run_job("load_warehouse", "--year", "2024")

        self.assertEqual((status, fact["error"]), (3, "AccessError"))
        self.assertNotIn("hunter2", f"{fact}{err}")
        self.assertIn("Check WAREHOUSE_URL.", f"{fact}{err}")

    def test_a_build_of_another_contract_is_refused(self):
        build = self.build("first")
        other = build.model_copy(update={"number": build.number + 1, "contract": "0" * 8})
        self.store.put_new(build_manifest(SCOPE, other.number), other.to_bytes())

        status, fact, _ = self.run_job("load_warehouse", "--year", "2024")

        self.assertEqual((status, "not this version's" in fact["message"]), (3, True))


HOSTILE = ["", None, "a\n\\.\nb", '"', ",", "\\N", "é\u202e", "\r\n", " x ", "'; DROP TABLE t; --", "x" * 200_000]


class TheStreamOfRows(WarehouseCase):
    def test_texts_arrive_as_they_are(self):
        with duckdb.connect(str(self.folder / "t.duckdb")) as database:
            database.execute("CREATE TABLE t (n INTEGER, text VARCHAR)")
            database.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(HOSTILE)))
            database.execute("COPY t TO 't.parquet'")
        self.asked("DROP TABLE IF EXISTS hostile")
        with PostgreSql(self.url, named="THE_URL") as server:
            server.run(["CREATE TABLE hostile (n int, text text)"])
            rows = csv_of("SELECT * FROM read_parquet('t.parquet')", LIMITS, self.folder)
            server.copy("COPY hostile FROM STDIN (FORMAT csv)", rows)

        self.assertEqual(self.asked("SELECT * FROM hostile ORDER BY n"), list(enumerate(HOSTILE)))

    def test_an_error_of_either_side_ends_both_and_leaves_nothing(self):
        self.asked("DROP TABLE IF EXISTS numbers")
        for select, message in (("SELECT 'x' FROM range(999999)", "invalid input"), ("SELECT error('gone')", "gone")):
            with self.subTest(message), self.assertRaisesRegex(Exception, message):  # noqa: SIM117
                with PostgreSql(self.url, named="THE_URL") as server:
                    server.run(["CREATE TABLE numbers (n int)"])
                    server.copy("COPY numbers FROM STDIN (FORMAT csv)", csv_of(select, LIMITS, self.folder))
            self.assertEqual(self.asked("SELECT count(*) FROM pg_tables WHERE tablename = 'numbers'"), [(0,)])


class DataApi:
    """The calls of Redshift's data API, on PostgreSQL: COPY of a Parquet file is its rows, by position."""

    def __init__(self, url: str, lake: Path) -> None:
        self.url, self.lake = url, lake
        self.states: dict[str, dict[str, Any]] = {}
        self.batches: list[list[str]] = []

    def batch_execute_statement(self, *, WorkgroupName: str, Database: str, Sqls: list[str]) -> dict[str, str]:  # noqa: N803
        self.batches.append(Sqls)
        return self._ended(Sqls)

    def execute_statement(self, *, WorkgroupName: str, Database: str, Sql: str) -> dict[str, str]:  # noqa: N803
        return self._ended([Sql])

    def describe_statement(self, *, Id: str) -> dict[str, Any]:  # noqa: N803
        state = self.states[Id]
        return {"Status": "STARTED"} if state["polls"].pop() else state

    def get_statement_result(self, *, Id: str, NextToken: str = "") -> dict[str, Any]:  # noqa: N803
        rows = self.states[Id]["rows"]
        first = int(NextToken or 0)
        cells = [[self._cell(cell) for cell in row] for row in rows[first : first + 2]]
        return {"Records": cells, **({"NextToken": str(first + 2)} if first + 2 < len(rows) else {})}

    @staticmethod
    def _cell(value: Any) -> dict[str, Any]:
        return {"isNull": True} if value is None else {"stringValue": str(value)}

    def _ended(self, statements: list[str]) -> dict[str, str]:
        name, state = str(uuid.uuid4()), {"Status": "FINISHED", "polls": [False, True]}
        try:
            with psycopg.connect(self.url) as connection:
                for one in statements:
                    cursor = self._run(connection, one)
                state["rows"] = cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            state |= {"Status": "FAILED", "Error": str(error)}
        self.states[name] = state
        return {"Id": name}

    def _run(self, connection: Any, statement: str) -> Any:
        copy = re.fullmatch(r"COPY (\S+) FROM 's3://lake/(\S+)' IAM_ROLE default FORMAT AS PARQUET", statement)
        if copy is None:
            return connection.execute(statement.encode())
        with connection.cursor() as cursor, tempfile.TemporaryDirectory() as folder:
            select = f"SELECT * FROM read_parquet('{self.lake / copy[2]}', hive_partitioning=false)"
            with cursor.copy(f"COPY {copy[1]} FROM STDIN (FORMAT csv)") as copying:
                for chunk in csv_of(select, LIMITS, Path(folder)):
                    copying.write(chunk)
            return cursor


# More than one statement can hold.
SAID_BY_CMS = [(str(number), f"it's \\ {number} :x é" + "y" * 60) for number in range(1000)]


class InS3:
    url = "s3://lake"

    @staticmethod
    def uri(key: str) -> str:
        return f"s3://lake/{key}"


class Redshift(WarehouseCase):
    def load(self, build: Any) -> Load:
        self.api = DataApi(self.url, self.lake)
        statements = RedshiftStatements(self.api, workgroup="w", database="d", sleep=lambda _seconds: None)
        sources = {one.dataset: one for one in tables.sources_of_marts()}
        columns = columns_of(sources, self.folder)
        store: Any = InS3()
        summaries = [SummaryRows("cms_x", ("id", "name"), build.release, SAID_BY_CMS)]
        warehouse = RedshiftWarehouse(statements, store)
        return Load(build, warehouse, "lake", columns, sources[build.dataset].amount, summaries)

    def test_a_build_is_loaded_by_statements_that_each_hold_or_do_not(self):
        for run_id in ("first", "second"):
            build = self.build(run_id)
            load = self.load(build)
            self.assertFalse(load.is_loaded())
            load.run()
            self.assertTrue(load.is_loaded())
            self.assertLessEqual(max(len(one) for one in self.api.batches), 40)

        rows, amount, release = self.asked(COUNTED)[0]
        self.assertEqual((rows, amount), (build.rows, build.amounts["total_amount_of_payment_usdollars"]))
        self.assertEqual((release, {name[-8:] for name in self.tables()}), (build.release, {build.build}))
        said = self.asked("SELECT * FROM lake.cms_x")
        self.assertCountEqual(said, [(*row, 2024, build.release) for row in SAID_BY_CMS])
        self.assertLess(max(len(one.encode()) for batch in self.api.batches for one in batch), 100_000)

    def test_what_is_not_the_manifests_is_refused_and_the_earlier_load_stays(self):
        self.load(self.build("first")).is_loaded()
        self.load(self.build("first")).run()
        before = self.asked(COUNTED)
        build = self.build("second")

        with self.assertRaisesRegex(DataError, "the warehouse got general_payments with"):
            self.load(build.model_copy(update={"amounts": dict.fromkeys(build.amounts, Decimal(1))})).run()
        self.assertEqual(self.asked(COUNTED), before)

    def test_a_statement_that_fails_is_an_error_of_ours(self):
        with self.assertRaisesRegex(DataError, "Redshift says: .*nowhere"):
            self.load(self.build("first")).warehouse.run(["SELECT * FROM nowhere"])
