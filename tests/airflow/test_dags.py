"""The DAG folder as Airflow reads it, and runs by ``dag.test()``: a year with faults, customers, a new release."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from pathlib import Path

import boto3
import pytest

from packages.etl_core.tests.support.postgresql import postgresql_server
from sandbox.crm import Crm, CrmSettings
from tools import airflow

pytestmark = pytest.mark.long
SCRIPT = Path(__file__).with_name("in_airflow.py")


OPTIONAL = ("load_warehouse", "publish_catalogue")


@pytest.fixture(scope="module")
def catalogue(bucket):
    """The name of a database in the Glue catalogue that the S3 server has too."""
    session = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    with contextlib.closing(session.client("glue", endpoint_url=bucket.client.meta.endpoint_url)) as glue:
        glue.create_database(DatabaseInput={"Name": "data_pipeline"})
    return "data_pipeline"


@pytest.fixture(scope="module")
def found(airflow_bin, jobs, source, catalogue, tmp_path_factory):
    """What the script prints. The first download is refused for a second, the next one is cut off."""
    source.fault("http_429", count=1, match="/download")
    source.fault("short_body", count=1, match="/download", after=2)
    with postgresql_server() as warehouse, Crm(CrmSettings(customers=60)) as crm:
        environment = {
            **jobs,
            **airflow.settings(tmp_path_factory.mktemp("airflow"), 1),
            # A try each, so that the first refusal ends the job. Airflow's own delay would outlast the test's limit.
            "SOURCE_ATTEMPTS": "1",
            "AIRFLOW__DATA_PIPELINE__AFTER_MARTS": ",".join(OPTIONAL),
            "WAREHOUSE_URL": warehouse,
            "CATALOGUE_DATABASE": catalogue,
            "API_BASE_URL": crm.url,
            "API_TOKEN": crm.token,
        }
        for words in (["airflow", "db", "migrate"], ["python", str(SCRIPT)]):
            done = subprocess.run(
                [str(airflow_bin / words[0]), *words[1:]], env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_all_dags_parse_and_have_the_defaults(found):
    assert found["errors"] == {}
    assert set(found["dags"]) == {"open_payments_year", "open_payments_releases", "customers_daily", "agency_files"}
    for name, dag in found["dags"].items():
        assert (dag["paused"], dag["catchup"], dag["max_active_runs"], dag["cycle"]) == (True, False, 1, False), name
        assert dag["has_doc"], name
        assert len(dag["tags"]) > 1, name
        for task, (has_doc, owner, retries, callbacks) in dag["tasks"].items():
            assert (has_doc, owner, retries, callbacks) == (True, "data-platform", 3, 1), (name, task)


def test_a_year_is_one_chain_on_a_yearly_timetable(found):
    year = found["dags"]["open_payments_year"]

    assert year["schedule"] == "0 6 2 7 *"
    assert set(year["edges"]) >= {
        "plan dataset.ingest",
        "dataset.ingest dataset.stage",
        "dataset.stage dataset.curate",
        "dataset.curate marts",
        *(f"marts {step}" for step in ("report", *OPTIONAL)),
        *(f"{step} check_year" for step in ("report", *OPTIONAL)),
    }


def test_a_year_completes_although_the_source_refused_for_a_second(found, bucket):
    run = found["completed"]

    assert run["state"] == "success", run
    assert run["tasks"]["dataset.ingest"] == ["success", 2], "status 4, and tried again when the source said"
    others = {name: ended for name, ended in run["tasks"].items() if name != "dataset.ingest"}
    assert set(map(tuple, others.values())) == {("success", 1)}, others
    assert run["labels"].keys() >= {"dataset.ingest", "dataset.stage", "report", "check_year"}
    assert run["labels"] == dict.fromkeys(run["labels"], "general-payments")
    fact = run["xcoms"]["dataset.ingest.return_value"]
    assert fact["status"] == "completed"
    assert fact["year"] == 2024
    assert f"metadata/runs/run_id={fact['run_id']}/manifest.json" in bucket.listed("metadata/runs/")
    assert run["xcoms"]["marts.return_value"]["manifest"] in bucket.listed("metadata/marts/")


def test_a_year_that_the_source_has_not_fails_at_once_and_says_why(found):
    run = found["refused"]

    assert run["state"] == "failed"
    assert run["tasks"]["dataset.ingest"] == ["failed", 1]
    assert "program year 2019" in run["xcoms"]["dataset.ingest.diagnosis"]


def test_the_optional_steps_put_the_tables_into_the_warehouse_and_the_catalogue(found):
    run = found["completed"]
    said = {step: run["xcoms"][f"{step}.return_value"] for step in OPTIONAL}

    assert {step: (run["tasks"][step][0], said[step]["status"]) for step in OPTIONAL} == {
        "load_warehouse": ("success", "loaded"),
        "publish_catalogue": ("success", "published"),
    }
    build = run["xcoms"]["dataset.curate.return_value"]["build"]
    assert {one["build"] for one in said.values()} == {build}


def test_a_year_that_cms_publishes_again_is_triggered_once(found):
    before, after, again = found["looks"]

    assert [look["state"] for look in found["looks"]] == ["success"] * 3
    assert before["triggered"] == {}, "the tables are of the source's release"
    ((name, conf),) = after["triggered"].items()
    assert name.startswith("open_payments_year release__general-payments-2024-")
    assert conf == {"dataset": "general-payments", "year": 2024}
    assert again["triggered"] == after["triggered"]


def test_customers_and_an_agency_s_files_are_runs_named_after_the_dag_run(found):
    run = found["customers"]

    assert run["state"] == "success", run
    assert re.fullmatch(r"customers-manual__[0-9T.-]+", run["xcoms"]["ingest.run_id"])
    assert found["agency"] == [
        *("get_s3_files", "--agency-id", "10", "--source-bucket", "documents"),
        *("--run-id", "agency-10-manual__2025-07-02T06-00-00-00-00"),
    ]
