"""Airflow's image, with and without the jobs, run as restricted as in the cluster."""

import json
import re

import pytest

from tests.containers.conftest import ROOT

pytestmark = pytest.mark.long
# What it prints last is one JSON object.
LOOK = """
import json, os, subprocess
from glob import glob
from importlib.util import find_spec
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
jobs = "/opt/jobs/bin/data-pipeline"
print(json.dumps({
    "errors": bag.import_errors,
    "dags": sorted(bag.dags),
    "jobs": subprocess.run([jobs, "list"], capture_output=True, text=True).stdout if os.path.exists(jobs) else None,
    "shared": [find_spec("data_pipeline") is not None, *glob("/opt/jobs/lib/python3*/site-packages/airflow")],
    "left": [place for place in ("/packages", "/requirements", "/wheels", "/constraints.txt") if os.path.exists(place)],
    "home": os.listdir("/opt/home"),
    "settings": sorted(os.environ),
    "pip": os.path.exists("/etc/pip.conf") and open("/etc/pip.conf").read(),
}))
"""


def looked(engine, image):
    options = ["--entrypoint", "python", "-e", "AIRFLOW_HOME=/tmp/airflow", "--memory", "1g"]
    answer = engine.run(image, "-c", LOOK, options=options)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    assert (found["errors"], found["left"], found["shared"]) == ({}, [], [False])
    assert found["dags"] == ["agency_files", "customers_daily", "open_payments_releases", "open_payments_year"]
    return found


@pytest.fixture(scope="module")
def found(engine, airflow_image):
    return looked(engine, airflow_image)


def test_airflow_parses_its_dags_and_has_the_jobs_in_an_environment_of_their_own(found):
    files = {path.stem for path in ROOT.glob("packages/data_pipeline/src/data_pipeline/jobs/[a-z]*.py")}
    assert {line.split()[0] for line in found["jobs"].splitlines()} == files
    assert "BROKEN" not in found["jobs"]


def test_airflow_s_image_has_no_key_password_or_setting_of_the_building_machine(found, engine, airflow_image):
    config = engine.config(airflow_image)

    assert found["home"] == [], "the configuration with its keys is made where it runs"
    assert not found["pip"]
    secret = re.compile("PIP_|SECRET|PASSWORD|TOKEN|FERNET|_CONN")
    assert [name for name in found["settings"] if secret.search(name)] == []
    assert (config["User"], config["Entrypoint"]) == ("10001:10001", ["airflow"])


def test_without_a_target_airflow_s_image_has_no_jobs_and_is_the_pinned_version(engine, airflow_image):
    engine.build(ROOT, "etl-airflow", file="docker/airflow.Dockerfile")

    answer = engine.run("localhost/etl-airflow", options=["-e", "AIRFLOW_HOME=/tmp/airflow", "--memory", "1g"])

    assert answer.returncode == 0, answer.stderr
    pinned = re.search(r"^apache-airflow==(\S+)$", (ROOT / "constraints-airflow.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert answer.stdout.splitlines()[-1] == pinned[1]
    assert looked(engine, "localhost/etl-airflow")["jobs"] is None
