"""An agency's files as a user copies them: listed by PostgreSQL, between two buckets, whenever a process dies."""

import itertools
import json
import os
import re
import signal
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from packages.etl_core.tests.support.postgresql import PASSWORD, QUOTED_PASSWORD, postgresql_server
from packages.etl_core.tests.support.strict_s3 import Asked, StrictS3
from tests.end_to_end.conftest import Ended
from tests.end_to_end.programs import Program
from tests.end_to_end.s3 import SETTINGS, Bucket

FILES = 24
NUMBERS = itertools.count()
FOLDER = "raw/agency_files/agency_id=10/files/"
SECRET = "hunter2-of-the-reader"

STATEMENTS = (
    "CREATE TABLE agency_files (agency_id int, file_id int PRIMARY KEY, key text, size bigint, updated_at timestamp)",
    f"INSERT INTO agency_files SELECT 10, n, 'docs/' || n || '.pdf' FROM generate_series(1, {FILES}) n",
    f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}'",
    "GRANT SELECT ON agency_files TO reader",
)


@pytest.fixture(scope="module")
def database():
    with postgresql_server() as url:
        engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            for statement in STATEMENTS:
                connection.exec_driver_sql(statement)
        engine.dispose()
        yield url.replace(f"postgres:{QUOTED_PASSWORD}", f"reader:{SECRET}")


@pytest.fixture(scope="module")
def one_server():
    with StrictS3() as running:
        yield running


@dataclass
class Agency:
    here: Bucket
    there: Bucket
    server: StrictS3
    environment: dict[str, str]
    folder: Path

    def start(self, *words: str) -> Program:
        buckets = ("--source-bucket", self.here.name, "--destination-bucket", self.there.name)
        command = ("-m", "data_pipeline", "run", "get_s3_files", "--", "--agency-id", "10", *buckets, *words)
        return Program(*command, env=self.environment, cwd=self.folder)

    def run(self, *words: str) -> Ended:
        with self.start(*words) as process:
            stdout, stderr = process.communicate(timeout=100)
        (line,) = stdout.splitlines()
        return Ended(process.returncode, json.loads(line), stderr)

    def copied(self) -> Counter[str]:
        """How often each copy was asked for."""
        return Counter(one.path.partition("/")[2] for one in self.server.copies())

    def signal_at(self, copy: int, process: Program, number: signal.Signals) -> None:
        """Send the process a signal when it asks for its n-th copy, which S3 makes all the same."""
        numbers = itertools.count(1)

        def before(asked: Asked) -> None:
            if asked.copies and next(numbers) == copy:
                process.send_signal(number)

        self.server.before = before

    def times(self) -> dict[str, datetime]:
        """When each copy was made."""
        pages = self.there.client.get_paginator("list_objects_v2").paginate(Bucket=self.there.name, Prefix=FOLDER)
        return {one["Key"]: one["LastModified"] for page in pages for one in page.get("Contents", ())}


@pytest.fixture
def agency(one_server, database, tmp_path):
    one_server.reset()
    number = next(NUMBERS)
    here, there = Bucket(one_server.url, f"from-{number}"), Bucket(one_server.url, f"to-{number}")
    for file in range(1, FILES + 1):
        here.write(f"docs/{file}.pdf", b"of %d" % file)
    place = {"AWS_ENDPOINT_URL": one_server.url, "DATABASE_URL": database, "LOG_FORMAT": "json", "LAKE_URL": "./no"}
    yield Agency(here, there, one_server, os.environ | SETTINGS | place, tmp_path)
    for bucket in (here, there):
        bucket.close()


def test_every_listed_file_is_copied_once_and_the_second_run_only_lists(agency):
    first = agency.run()
    assert (first.status, first.fact["files"]) == (0, {"copied": FILES}), first.stderr
    assert agency.there.listed(FOLDER) == sorted(f"{FOLDER}docs/{number}.pdf" for number in range(1, FILES + 1))
    assert agency.there.read(f"{FOLDER}docs/7.pdf") == b"of 7"
    assert set(agency.copied().values()) == {1}

    agency.server.reset()
    second = agency.run()
    assert (second.status, second.fact["files"], second.fact["bytes"]) == (0, {"already there": FILES}, 0)
    assert agency.copied() == {}


@pytest.mark.parametrize("copy", [FILES // 2, FILES])
def test_a_run_that_is_killed_is_finished_by_the_same_command(agency, copy):
    with agency.start() as process:
        agency.signal_at(copy, process, signal.SIGKILL)
        process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL
    before = agency.times()
    assert copy - 16 <= len(before) <= copy + 16, "one for each thread was under way"

    ended = agency.run()
    assert (ended.status, ended.fact["status"], ended.fact["successful"]) == (0, "completed", FILES), ended.stderr
    assert before.items() <= agency.times().items(), "no copy was made again"
    plans = [key for key in agency.there.listed("metadata/runs/") if key.endswith("/plan.json")]
    assert plans == [f"metadata/runs/run_id={ended.fact['run_id']}/plan.json"], "the killed run is continued"


def test_sigterm_ends_a_run_with_143_and_keeps_what_is_copied(agency):
    with agency.start() as process:
        agency.signal_at(FILES // 2, process, signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=100)
    assert (process.returncode, json.loads(stdout)["status"]) == (143, "stopped"), stderr
    assert FILES // 2 <= len(agency.times()) < FILES
    assert not [key for key in agency.there.listed("metadata/runs/") if key.endswith("/manifest.json")]


def test_nothing_that_a_run_leaves_behind_tells_the_database(agency):
    """S4.6: whether it ends well or not, the address and the password are in no object, file, log or message."""
    ended = [agency.run(), agency.run("--retry-failed")]
    address = agency.environment["DATABASE_URL"]
    for wrong in (address.replace(SECRET, "wrong-" + SECRET), address.replace("postgresql", "mysql")):
        agency.environment["DATABASE_URL"] = wrong
        ended.append(agency.run())
    assert [one.status for one in ended] == [0, 0, 3, 3]

    left = {f"run {number}": json.dumps(one.fact) + one.stderr for number, one in enumerate(ended)}
    left |= {key: agency.there.read(key).decode("utf-8", "replace") for key in agency.there.listed()}
    left |= {str(path): path.read_text() for path in agency.folder.rglob("*") if path.is_file()}
    assert any("/logs/" in key for key in left)
    told = re.compile("|".join(map(re.escape, (SECRET, PASSWORD, QUOTED_PASSWORD, address))))
    assert {where: told.findall(text) for where, text in left.items() if told.search(text)} == {}
