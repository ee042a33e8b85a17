"""Spark as it is, in local mode, beside DuckDB on the same 20,000 general payments.

One Spark and one pair of lakes for all tests: to start it and to compile its plans takes most of the time.
"""

import os
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.contract import Column, Contract
from data_pipeline.lakehouse.conversion import DuckDb
from data_pipeline.lakehouse.curate import Curation, Inputs
from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.documents import StagedPart
from data_pipeline.lakehouse.spark import Spark
from data_pipeline.lakehouse.spark_session import open_session, spark_version
from data_pipeline.open_payments.datasets import GENERAL
from data_pipeline.open_payments.tables import derived_tables
from etl_core.errors import DataError
from etl_core.lake.directory import DirectoryStore
from etl_core.progress import Progress
from packages.data_pipeline.tests.unit.lakehouse.lake_case import START, LakehouseCase, csv_of, raw_key
from tools import isolated

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    # PySpark leaves closing its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
CONTRACT = Contract.from_toml(GENERAL.contract)
SLICES, ROWS = 200, 100
LIMITS = Limits(memory_mb=1600, workers=2)
GOOD = {
    "date": ("02/29/2024", "12/31/2024", "11/30/0002"),
    "decimal": ("12.30", "0.00", "-3.1", "400000000.00", "7", "999999999999.99"),
    "integer": ("1", "3", "0", "10000"),
    "boolean": ("Yes", "No"),
}
ODD_DATES = ("02/30/2024", "1/3/2024", "")
ODD = (
    "12.345", "1e3", "1_000", " 1", "1\n", "yes", "é" * 400, "x" * 3000, "a\0b", "a\r\nb, c",
    '"', '""', '",', "\\", "'; DROP TABLE t; --", "=cmd|' /C calc'!A0", "\x1b[31m", "${env:HOME}", "<script>",
    "٣", "\u2028", "",
)  # fmt: skip


def a_text(column: Column, chance: random.Random) -> str:
    if column.kind in GOOD and column.pattern != "[0-9]{4}":
        return chance.choice(GOOD[column.kind])
    if column.values:
        return chance.choice((*column.values, "Unheard of"))
    known = {
        "[0-9]{1,38}": str(chance.randrange(10**9)),
        "[0-9]{4}": chance.choice(("2024", "0002")),
        "[0-9]{10}": "1234567893",
        "[A-Z]{2}": "NY",
        "[0-9]{5}(-[0-9]{4})?": "12345-6789",
    }
    return known.get(column.pattern, chance.choice(("Acme, Inc.", 'the "best"', "two\nlines", "Zürich", "plain")))


def a_payment(number: int, payer: str, chance: random.Random, odd: float) -> list[str]:
    """A payment with a value in half of the columns, and now and then an odd one anywhere."""
    texts = {one.name: a_text(one, chance) if one.required or chance.random() < 0.5 else "" for one in CONTRACT.columns}
    texts |= {GENERAL.record_id_column: str(number), GENERAL.payer_column: payer}
    if chance.random() < odd:
        one = chance.choice(CONTRACT.columns)
        texts[one.name] = chance.choice(ODD_DATES if one.kind == "date" else ODD)
    return list(texts.values())


def slices() -> tuple[dict[str, bytes], dict[str, dict[str, Any]]]:
    """Parts by payer and what their audits say, both dialects among them, and bytes that are no UTF-8."""
    chance = random.Random(13)
    bodies: dict[str, bytes] = {}
    said: dict[str, dict[str, Any]] = {}
    for number in range(SLICES):
        payer = str(100000000000 + number)
        odd = 0.9 if number % 20 == 0 else 0.0
        rows = [a_payment(number * ROWS + row, payer, chance, odd) for row in range(ROWS)]
        bodies[payer] = csv_of(rows, CONTRACT.header)
        said[payer] = {"records": ROWS}
        if number % 100 == 7:
            rows[3][CONTRACT.header.index("Contextual_Information")] = 'a \\" b, "'
            bodies[payer] = csv_of(rows, CONTRACT.header).replace(b'\\""', b'\\"')
            said[payer]["dialect"] = "backslash"
        if number % 100 == 9:
            bodies[payer] = bodies[payer].replace("Zürich".encode(), b"Z\xfcrich")
    return bodies, said


class Lake(LakehouseCase):
    """A folder whose name Spark could take for a pattern or an encoded address."""

    store: Any  # a DirectoryStore: Spark reads files

    def new_store(self) -> Any:
        return DirectoryStore(Path(self.enterContext(tempfile.TemporaryDirectory(prefix="it's [a] lake* %41+"))))

    def curation(self, staged: dict[str, StagedPart], sorted_by: str = "") -> Curation:
        inputs = Inputs(
            contract=CONTRACT, derived=derived_tables(GENERAL), scope="general", dataset=GENERAL.name, year=2024,
            release="a", run_id="r1", closed=True, parts=tuple(staged.values()), sorted_by=sorted_by,
        )  # fmt: skip
        return Curation(
            self.store, inputs, LIMITS, now=lambda: START, progress=Progress(), check_stop=lambda: None,
            rows_per_file=8000,
        )  # fmt: skip

    def digest(self, files: Iterable[str]) -> tuple[Any, ...]:
        """Of all rows of Parquet files their columns with types, their number, and a hash without regard to order."""
        paths = [f"{self.store.root}/{one}" for one in files]
        source = sql.read_parquet(paths)
        columns = duckdb.execute(f"DESCRIBE FROM {source}").fetchall()
        text = "to_json(COLUMNS(*))::VARCHAR"
        rows = f"SELECT concat_ws('\x1f', {text}) AS row FROM {source}"
        found = duckdb.execute(f"SELECT count(*), sum(md5_number_lower(row)) FROM ({rows})").fetchall()
        return [one[:2] for one in columns], *found


def opened() -> Lake:
    lake = Lake()
    lake.setUp()
    return lake


@pytest.fixture(scope="module")
def both() -> Iterator[SimpleNamespace]:
    """The same payments in two lakes, staged and built by DuckDB in one and by Spark in the other."""
    try:
        python = isolated.program("spark").with_name("python")
    except isolated.UnavailableError as reason:
        pytest.skip(str(reason))
    libraries = str(next(python.parents[1].glob("lib/*/site-packages")))
    sys.path.append(libraries)
    # What is compiled well pays off in minutes only.
    os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1"
    bodies, said = slices()
    ours, theirs, scratch = opened(), opened(), opened()
    try:
        run = ours.commit(bodies, of_each=said)
        staged = ours.staging(run, CONTRACT, engine=DuckDb(LIMITS)).run({})
        built = ours.curation(staged).run()
        run = theirs.commit(bodies, of_each=said)
        with open_session(LIMITS, submitted=False) as session:
            spark = Spark(session, theirs.store, scratch.store)
            by_spark = theirs.staging(run, CONTRACT, engine=spark).run({})
            tasks = tasks_of(session)
            curation = theirs.curation(by_spark, f"spark {spark_version()}")
            yield SimpleNamespace(
                ours=ours, theirs=theirs, spark=spark, scratch=scratch.store, run=run, staged=staged, by_spark=by_spark,
                built=built, tasks=tasks, curation=curation, built_by_spark=curation.run(spark),
            )  # fmt: skip
    finally:
        for lake in (ours, theirs, scratch):
            lake.doCleanups()
        del os.environ["JAVA_TOOL_OPTIONS"]
        sys.path.remove(libraries)
        # A module that was imported counts as installed: other tests of this process have no Spark.
        for name in [one for one, module in sys.modules.items() if is_of(libraries, module)]:
            del sys.modules[name]


def is_of(folder: str, module: object) -> bool:
    return str(getattr(module, "__file__", None)).startswith(folder)


def tasks_of(session: Any) -> dict[int, list[tuple[int, int]]]:
    """When each task of each stage so far began and ended, by stage."""
    tracker, context = session.sparkContext.statusTracker(), session.sparkContext._jsc.sc()
    jobs = map(tracker.getJobInfo, tracker.getJobIdsForGroup(None))
    stages = {stage for job in jobs if job for stage in job.stageIds}
    found: dict[int, list[tuple[int, int]]] = {}
    for stage in stages:
        tasks = context.statusStore().taskList(stage, 0, 10_000)
        for number in range(tasks.size()):
            task = tasks.apply(number)
            began = task.launchTime().getTime()
            found.setdefault(stage, []).append((began, began + int(task.duration().get())))
    return found


def test_every_part_has_the_document_that_duckdb_gives_it(both):
    def said(staged: dict[str, StagedPart]) -> dict[str, Any]:
        return {key: one.model_dump(exclude={"file", "quarantine", "software"}) for key, one in staged.items()}

    assert said(both.by_spark) == said(both.staged)
    assert sum(one.records for one in both.staged.values()) == SLICES * ROWS
    reasons = {reason for one in both.staged.values() for reason in (*one.reasons, *one.flags)}
    assert {reason.rpartition(".")[2] for reason in reasons} == {
        "required", "pattern", "type", "length", "range", "encoding"
    }  # fmt: skip
    assert any(one.new_values for one in both.staged.values())
    assert {one.software["spark"] for one in both.by_spark.values()} == {spark_version()}


@pytest.mark.parametrize("zone", ["file", "quarantine"])
def test_the_rows_of_a_zone_are_those_of_duckdb_under_the_same_keys(both, zone):
    def keys(staged: dict[str, StagedPart]) -> list[str]:
        return sorted(getattr(one, zone).key for one in staged.values() if getattr(one, zone))

    assert keys(both.by_spark) == keys(both.staged)
    assert both.theirs.digest(keys(both.by_spark)) == both.ours.digest(keys(both.staged))


def test_the_records_of_a_part_keep_their_order(both):
    part = both.run.parts().__next__().key

    rows = [lake.table(one[part].file.key) for lake, one in ((both.ours, both.staged), (both.theirs, both.by_spark))]
    assert rows[0] == rows[1]


def test_a_job_over_200_slices_runs_on_two_cores(both):
    tasks = max(both.tasks.values(), key=len)

    assert len(tasks) >= SLICES * 0.9
    assert max(sum(began <= moment < ended for began, ended in tasks) for moment, _ in tasks) >= 2


def test_a_build_has_the_rows_of_every_table_of_duckdb_in_the_same_order(both):
    ours, theirs = both.built, both.built_by_spark
    different = {"build", "files", "software"}

    assert theirs.model_dump(exclude=different) == ours.model_dump(exclude=different)
    assert set(theirs.tables) == {"general_payments", "payment_products", "companies", "recipients"}
    for table, files in ours.tables.items():
        mine, other = ([one.key for one in found] for found in (files, theirs.tables[table]))
        assert both.theirs.digest(other) == both.ours.digest(mine)
    order = ", ".join(one.lower() for one in CONTRACT.order)
    for file in theirs.tables["general_payments"]:
        source = sql.read_parquet([str(both.theirs.store.root / file.key)])
        numbers = f"SELECT row_number() OVER () AS place, row_number() OVER (ORDER BY {order}) AS sorted FROM {source}"
        assert duckdb.execute(f"SELECT count(*) FROM ({numbers}) WHERE place != sorted").fetchall() == [(0,)]


def test_the_same_build_again_is_nothing_to_do_and_the_scratch_is_empty(both):
    assert both.curation.current() == both.built_by_spark
    assert list(both.scratch.list("")) == []


def test_a_part_with_other_records_or_bytes_than_its_audit_says_and_one_that_is_gone_are_named(both):
    lake = opened()
    try:
        part = csv_of([a_payment(1, "7", random.Random(1), 0)], CONTRACT.header)
        engine = Spark(both.spark.session, lake.store, both.scratch)
        run = lake.commit({"7": part}, run_id="r0", records=2)
        with pytest.raises(DataError, match="1 records staged and 0 quarantined, proved were 2"):
            lake.staging(run, CONTRACT, engine=engine).run({})
        run = lake.commit({"7": part}, sha256="1" * 64)
        with pytest.raises(DataError, match=r"payer=7/part-1-of-1\.csv.*not the part that its audit proves"):
            lake.staging(run, CONTRACT, engine=engine).run({})
        lake.store.delete(raw_key("7"))
        with pytest.raises(DataError, match="PATH_NOT_FOUND"):
            lake.staging(run, CONTRACT, engine=engine).run({})
        assert not list(lake.store.list("staging/"))
    finally:
        lake.doCleanups()
