"""What every registered job keeps besides tests/unit/jobs/test_contract.py: a dry run writes nothing, one fact of its
schema, a second run that changes nothing, no secret in anything that it leaves, and SIGTERM.

A new job is added to ``EXAMPLES``; without that a test fails and says so.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from data_pipeline.registry import Registry
from packages.data_pipeline.tests.unit.agency_files.agency import make_database
from packages.etl_core.tests.support.strict_s3 import Asked, StrictS3
from sandbox.crm import Crm, CrmSettings
from sandbox.open_payments import Sandbox, Settings
from tests.end_to_end.s3 import SETTINGS, Bucket
from tools.schemas import MODELS

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

YEAR, COMPANY = "2024", "100000000053"
YEARLY = ("--year", YEAR)
# In the order in which each finds what it needs.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "resolve_ids": (),
    "build_totals": YEARLY,
    "companies": YEARLY,
    "run_pipeline": YEARLY,
    "download_company": (*YEARLY, "--company-id", COMPANY),
    "write_manifest": ("--run-id", "r1"),
    "rerun": ("--run-id", "r1", "--failed"),
    "runs": (),
    "status": ("--run-id", "r1"),
    "verify": ("--run-id", "r1"),
    "stage": ("--run-id", "r1"),
    "build_curated": ("--run-id", "r1"),
    "quarantine": ("--run-id", "r1"),
    "query": ("SELECT count(*) FROM general_payments",),
    "trace": ("RECORD",),
    "export": ("--run-id", "r1", "--to", "exported.csv", "--overwrite"),
    "upload_raw": ("--run-id", "r1", "--to", "another lake"),
    "diff_releases": YEARLY,
    "gc": (),
    "get_s3_files": ("--agency-id", "10", "--source-bucket", "./documents"),
    "ingest_customers": (),
}
# Checked elsewhere, because they take longer: test_fan_out.py starts pods, test_build.py runs dbt.
ELSEWHERE = {"fan_out", "fan_out_worker", "build", "build_marts", "report", "check_year"}
# Caches may be written again.
CACHES = ("metadata/dataset_ids_cache.json", "metadata/totals/")
TOKEN, PASSWORD, KEY = "token-of-the-crm-4711", "password-of-the-database-4712", "secret-key-of-aws-4713"
UNTYPED = {"job", "run_id", "status", "seconds", "requests", "retries", "lake"}


@dataclass
class Ended:
    status: int
    stdout: str
    stderr: str

    @property
    def facts(self) -> list[dict[str, Any]]:
        """Of a job that hands out data, its fact is on stderr."""
        lines = [*self.stdout.splitlines(), *self.stderr.splitlines()]
        found = [json.loads(line) for line in lines if line.startswith(('{"job"', '{"schema_version"'))]
        return [one for one in found if "job" in one]


@dataclass
class Jobs:
    """One lake and all sources, and a process that runs jobs on it."""

    folder: Path
    environment: dict[str, str]
    process: "subprocess.Popen[str]"
    said: list[str] = field(default_factory=list)

    def run(self, *words: str) -> Ended:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(["run", words[0], "--", *words[1:]]) + "\n")
        self.process.stdin.flush()
        ended = Ended(**json.loads(self.process.stdout.readline()))
        self.said.append(ended.stdout + ended.stderr)
        return ended

    def files(self) -> dict[str, str]:
        """Every object of the lake with its hash; logs and caches apart."""
        lake = self.folder / "lake"
        found = {path.relative_to(lake).as_posix(): path for path in lake.rglob("*") if path.is_file()}
        return {
            key: hashlib.sha256(path.read_bytes()).hexdigest()
            for key, path in found.items()
            if not key.startswith(("metadata/logs/", *CACHES))
        }

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(self.record_id() if word == "RECORD" else word for word in EXAMPLES[name])

    def record_id(self) -> str:
        answer = self.run("query", "SELECT min(record_id) AS id FROM general_payments", "--format", "json")
        return str(json.loads(answer.stdout)["id"])


@contextlib.contextmanager
def sources(folder: Path) -> Iterator[tuple[Sandbox, dict[str, str]]]:
    """Payments, and the settings under which jobs find a source of each kind."""
    (folder / "documents").mkdir()
    (folder / "documents" / "a.pdf").write_text("a")
    database = make_database(folder / "files.db", [(10, 1, "a.pdf", None, None)])
    settings = Settings(years=(int(YEAR),), scale=0.02, first_companies=3)
    with Sandbox(settings) as payments, Crm(CrmSettings(customers=20, token=TOKEN)) as crm:
        yield payments, {
            **os.environ, **SETTINGS, "AWS_SECRET_ACCESS_KEY": KEY,
            "OPEN_PAYMENTS_URL": payments.url, "API_BASE_URL": crm.url, "API_TOKEN": TOKEN,
            "DATABASE_URL": f"sqlite:///{database}?password={PASSWORD}", "LAKE_URL": str(folder / "lake"),
            "LOG_FORMAT": "json", "LOG_LEVEL": "debug", "SOURCE_FIRST_WAIT_SECONDS": "0.05",
            "XDG_CACHE_HOME": str(folder / "cache"),
        }  # fmt: skip


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> Iterator[Jobs]:
    folder = tmp_path_factory.mktemp("conformance")
    with sources(folder) as (payments, environment):
        command = [sys.executable, "-m", "tests.end_to_end.many_jobs"]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH"))))
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            running = Jobs(folder, environment, process)
            first = running.run("run_pipeline", *YEARLY, "--run-id", "r1")
            assert first.status == 0, first.stderr
            payments.republish(int(YEAR))  # two releases can be compared
            yield running
            process.communicate()


def test_every_registered_job_has_an_example():
    missing = set(Registry().names()) - EXAMPLES.keys() - ELSEWHERE
    assert not missing, f"add words to EXAMPLES with which these do their work: {missing}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_job_ends_in_one_fact_and_its_second_run_changes_nothing(jobs, name):
    words = jobs.words(name)
    if any(one.name == "dry_run" for one in Registry().load(name).module.command.params):
        before = jobs.files()
        dry = jobs.run(name, *words, "--dry-run")
        assert (dry.status, len(dry.facts)) == (0, 1), dry.stderr
        assert jobs.files() == before, "a dry run writes nothing"

    for number in (1, 2):
        before = jobs.files()
        ended = jobs.run(name, *words)
        assert ended.status == 0, ended.stderr
        (fact,) = ended.facts
        assert (fact["job"], fact["lake"]) == (name, (jobs.folder / "lake").as_uri())
        assert is_of_a_schema(fact), f"publish the model of this fact in tools/schemas.py: {fact}"
        after = jobs.files()
        assert before.items() <= after.items(), "nothing is replaced or removed"
        assert number == 1 or after == before, "the second run writes nothing"


def is_of_a_schema(fact: dict[str, Any]) -> bool:
    """Whether it is a published document, or what ``print_fact`` gives."""
    if "schema_version" not in fact:
        return fact.keys() >= UNTYPED
    for model in MODELS:
        with contextlib.suppress(ValidationError):
            model.model_validate_json(json.dumps(fact))
            return True
    return False


def test_nothing_that_jobs_leave_behind_tells_a_secret(jobs):
    """After the tests above: messages, facts, logs, and every file in the folder."""
    texts = {f"output {number}": text for number, text in enumerate(jobs.said)}
    paths = (path for path in jobs.folder.rglob("*") if path.is_file() and path.name != "files.db")
    texts |= {str(path): path.read_bytes().decode("utf-8", "replace") for path in paths}
    for secret in (TOKEN, PASSWORD, KEY):
        assert [where for where, text in texts.items() if secret in text] == []


@pytest.fixture(scope="module")
def empty_lake() -> Iterator[StrictS3]:
    with StrictS3() as server:
        bucket = Bucket(server.url, "lake")
        yield server
        bucket.close()


@pytest.mark.parametrize("name", [name for name, words in EXAMPLES.items() if "RECORD" not in words])
def test_a_job_that_gets_sigterm_at_its_first_request_to_the_lake_ends_and_says_so(jobs, empty_lake, name):
    # Its threads may need as long as they do on a busy machine.
    place = {"LAKE_URL": "s3://lake", "AWS_ENDPOINT_URL": empty_lake.url, "GRACE_SECONDS": "200"}
    words = [sys.executable, "-m", "data_pipeline", "run", name, "--", *EXAMPLES[name]]
    with subprocess.Popen(
        words, cwd=jobs.folder, env=jobs.environment | place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:

        def terminate(_asked: Asked) -> None:
            empty_lake.reset()
            process.send_signal(signal.SIGTERM)

        empty_lake.before = terminate
        ended = Ended(0, *process.communicate(timeout=250))
    # A job that finds nothing to do in an empty lake says so first.
    assert process.returncode in (0, 3, 143), ended.stderr
    (fact,) = ended.facts
    assert (fact["status"] == "stopped") is (process.returncode == 143), fact
    assert "Traceback" not in ended.stderr
