"""An agency's files as a user copies them: listed by PostgreSQL, between two buckets, whenever a process dies."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from packages.etl_core.tests.support.postgresql import PASSWORD, QUOTED_PASSWORD, postgresql_server
from tests.end_to_end.conftest import Ended
from tests.end_to_end.s3 import SETTINGS, Bucket, Proxy, s3_server

FILES = 40
FOLDER = "raw/agency_files/agency_id=10/files/"
SECRET = "hunter2-of-the-reader"

STATEMENTS = (
    "CREATE TABLE agency_files (agency_id int, file_id bigint PRIMARY KEY, key text, size bigint, updated_at timestamp)",
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
def server():
    with s3_server() as url:
        yield url


@pytest.fixture
def proxy(server):
    with Proxy(server) as proxy:
        yield proxy


@dataclass
class Agency:
    here: Bucket
    there: Bucket
    proxy: Proxy
    environment: dict[str, str]
    folder: Path

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "data_pipeline", "run", "get_s3_files", "--", "--agency-id", "10",
             "--source-bucket", self.here.name, "--destination-bucket", self.there.name, *words],
            env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *words: str) -> Ended:
        process = self.start(*words)
        stdout, stderr = process.communicate(timeout=100)
        (line,) = stdout.splitlines()
        return Ended(process.returncode, json.loads(line), stderr)

    def copied(self) -> Counter[str]:
        """How often each copy was carried out."""
        puts = (one.asked for one in self.proxy.puts() if "x-amz-copy-source" in one.asked.headers)
        return Counter(one.key for one in puts)


@pytest.fixture
def agency(server, proxy, database, tmp_path, request):
    name = f"{abs(hash(request.node.nodeid))}"
    here, there = Bucket(server, f"from-{name}"), Bucket(server, f"to-{name}")
    for number in range(1, FILES + 1):
        here.write(f"docs/{number}.pdf", b"of %d" % number)
    environment = os.environ | SETTINGS | {
        "AWS_ENDPOINT_URL": proxy.url, "DATABASE_URL": database, "LOG_FORMAT": "json", "LAKE_URL": str(tmp_path / "no")
    }  # fmt: skip
    yield Agency(here, there, proxy, environment, tmp_path)
    for bucket in (here, there):
        bucket.empty()
        bucket.close()


def test_every_listed_file_is_copied_once_and_the_second_run_only_lists(agency):
    first = agency.run()
    assert (first.status, first.fact["files"]) == (0, {"copied": FILES}), first.stderr
    assert agency.there.listed(FOLDER) == sorted(f"{FOLDER}docs/{number}.pdf" for number in range(1, FILES + 1))
    assert agency.there.read(f"{FOLDER}docs/7.pdf") == b"of 7"
    assert set(agency.copied().values()) == {1}

    agency.proxy.seen.clear()
    second = agency.run()
    assert (second.status, second.fact["files"], second.fact["bytes"]) == (0, {"already there": FILES}, 0)
    assert agency.copied() == {}


@pytest.mark.parametrize("after", [1, FILES // 2, FILES])
def test_a_run_that_is_killed_is_finished_by_the_same_command(agency, after):
    process = agency.start()

    def kill(asked):
        if "x-amz-copy-source" in asked.headers and sum(agency.copied().values()) + 1 >= after:
            process.send_signal(signal.SIGKILL)

    agency.proxy.answers = kill
    assert process.wait(100) == -signal.SIGKILL
    process.communicate()
    agency.proxy.answers = lambda _asked: None
    before = {key: agency.there.client.head_object(Bucket=agency.there.name, Key=key)["LastModified"]
              for key in agency.there.listed(FOLDER)}  # fmt: skip

    ended = agency.run()
    assert (ended.status, ended.fact["status"], ended.fact["successful"]) == (0, "completed", FILES), ended.stderr
    for key, modified in before.items():
        assert agency.there.client.head_object(Bucket=agency.there.name, Key=key)["LastModified"] == modified, key
    plans = [key for key in agency.there.listed("metadata/runs/") if key.endswith("/plan.json")]
    assert plans == [f"metadata/runs/run_id={ended.fact['run_id']}/plan.json"], "the killed run is continued"


def test_sigterm_ends_a_run_with_143_and_keeps_what_is_copied(agency):
    process = agency.start()

    def stop(asked):
        if sum(agency.copied().values()) == FILES // 2:
            process.send_signal(signal.SIGTERM)

    agency.proxy.answers = stop
    stdout, stderr = process.communicate(timeout=100)
    assert (process.returncode, json.loads(stdout)["status"]) == (143, "stopped"), stderr
    copied = len(agency.there.listed(FOLDER))
    assert FILES // 2 <= copied <= FILES
    assert not [key for key in agency.there.listed("metadata/runs/") if key.endswith("/manifest.json")]


def test_nothing_that_a_run_leaves_behind_tells_the_database(agency):
    """S4.6: whether it ends well or not, the address and the password are in no object, file, log or message."""
    ended = [agency.run(), agency.run("--dry-run"), agency.run("--retry-failed")]
    address = agency.environment["DATABASE_URL"]
    for wrong in (address.replace(SECRET, "wrong-" + SECRET), address.replace("postgresql", "mysql"), SECRET):
        agency.environment["DATABASE_URL"] = wrong
        ended.append(agency.run())
    assert [one.status for one in ended] == [0, 0, 0, 3, 3, 3]

    left = {f"run {number}": json.dumps(one.fact) + one.stderr for number, one in enumerate(ended)}
    left |= {key: agency.there.read(key).decode("utf-8", "replace") for key in agency.there.listed()}
    left |= {str(path): path.read_text() for path in agency.folder.rglob("*") if path.is_file()}
    assert any("/logs/" in key for key in left)
    told = re.compile("|".join(map(re.escape, (SECRET, PASSWORD, QUOTED_PASSWORD, address))))
    assert {where: told.findall(text) for where, text in left.items() if told.search(text)} == {}
