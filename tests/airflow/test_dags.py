"""The DAG folder as Airflow reads it, and a year by ``dag.test()``: faults, and retries decided by exit codes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tools import airflow

pytestmark = pytest.mark.long
SCRIPT = Path(__file__).with_name("in_airflow.py")


@pytest.fixture(scope="module")
def found(airflow_bin, jobs, source, tmp_path_factory):
    """What the script prints. The first download is refused for a second, the next one is cut off."""
    source.fault("http_429", count=1, match="/download")
    source.fault("short_body", count=1, match="/download", after=2)
    home = tmp_path_factory.mktemp("airflow")
    # A try each, so that the first refusal ends the job. Airflow's own delay would outlast the test's limit.
    environment = {**jobs, **airflow.settings(home, 1), "SOURCE_ATTEMPTS": "1"}
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
        "marts report",
        "report check_year",
    }


def test_a_year_completes_although_the_source_refused_for_a_second(found, bucket):
    run = found["completed"]

    assert run["state"] == "success", run
    assert run["tasks"]["dataset.ingest"] == ["success", 2], "status 4, and tried again when the source said"
    assert run["tasks"]["check_year"][0] == "success"
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
