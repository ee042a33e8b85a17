"""What a fan-out promises, on the cluster that KUBECONFIG and IMAGE name; without them, on the stand-in.

`make test-kubernetes` runs this. On a real cluster: NAMESPACE (k8s/base applied), LAKE_URL (a prefix of its
own below it is used and left there), OPEN_PAYMENTS_URL (a sandbox the pods can reach, or the real site: only
the three companies with the lowest ids are asked for), and ENV_FROM where workers need more.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.cluster import Cluster, ClusterSettings
from sandbox.open_payments import Sandbox, Settings
from tests.end_to_end.programs import Program, container

REAL = bool(os.environ.get("KUBECONFIG") and os.environ.get("IMAGE"))
ROOT = Path(__file__).parent.parent.parent
YEAR = os.environ.get("YEAR") or "2024"
# A real pod may wait for a node and an image.
SECONDS = 1800 if REAL else 120
pytestmark = pytest.mark.timeout(2 * SECONDS)


@dataclass(frozen=True)
class Place:
    """A cluster, and a lake of this test's own."""

    environment: dict[str, str]
    options: tuple[str, ...]

    def start(self, *words: str) -> Program:
        return Program("-m", "data_pipeline", *words, env=self.environment, cwd=ROOT)

    def run(self, *words: str) -> tuple[int, dict[str, Any], str]:
        process = self.start(*words)
        stdout, stderr = process.communicate(timeout=SECONDS)
        return process.returncode, json.loads(stdout.splitlines()[-1]) if stdout else {}, stderr

    def fan_out(self, *words: str) -> tuple[str, ...]:
        return (
            "run",
            "fan_out",
            "--",
            "--year",
            YEAR,
            "--max-files",
            "3",
            "--poll-interval",
            "1",
            *self.options,
            *words,
        )


@pytest.fixture
def place(tmp_path: Path):
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    if REAL:
        options = ["--image", os.environ["IMAGE"], "--namespace", os.environ.get("NAMESPACE", "data-pipeline")]
        for name in filter(None, os.environ.get("ENV_FROM", "").split(",")):
            options += ["--env-from", name]
        lake = f"{os.environ['LAKE_URL'].rstrip('/')}/{prefix}"
        yield Place({**os.environ, "LAKE_URL": lake, "LOG_FORMAT": "json"}, tuple(options))
        return
    images = {"etl-data-pipeline": [sys.executable, "-m", "data_pipeline"]}
    path = {"PATH": str(Path(sys.executable).parent)}
    # As k8s/base has them.
    rules: dict[str, Any] = {"quota_jobs": 2000, "quota_pods": 110, "minimum": {"memory": "32Mi"}}
    rules |= {"maximum": {"cpu": "8"}, "service_accounts": ("default", "data-pipeline-worker")}
    with (
        Sandbox(Settings(years=(int(YEAR),), scale=0.02, first_companies=3)) as source,
        Cluster(ClusterSettings(images=images, base_environment=path, start=container, **rules)) as cluster,
    ):
        environment = {
            **os.environ,
            "KUBECONFIG": str(cluster.kubeconfig(tmp_path / "kubeconfig")),
            "OPEN_PAYMENTS_URL": source.url,
            "LAKE_URL": str(tmp_path / prefix),
            "LOG_FORMAT": "json",
        }
        yield Place(environment, ())


def test_doctor_finds_the_cluster_fit(place):
    options = [word for word in place.options if word not in ("--poll-interval", "1")]
    status, fact, stderr = place.run("doctor", "cluster", *options)
    assert status == 0, stderr
    assert not fact["cluster_checks"]["failed"]


@pytest.mark.parametrize("shape", ["per-company", "packed"])
def test_either_shape_proves_what_it_is_asked_for(place, shape):
    status, fact, stderr = place.run(*place.fan_out("--shape", shape))
    assert (status, fact.get("status"), fact.get("proved")) == (0, "completed", 3), stderr
    status, _, stderr = place.run("run", "verify", "--", "--run-id", fact["run_id"])
    assert status == 0, stderr


@pytest.mark.parametrize("shape", ["per-company", "packed"])
def test_a_killed_submitter_is_followed_by_another(place, shape):
    submitter = place.start(*place.fan_out("--shape", shape))
    time.sleep(3 if REAL else 1)  # wherever it is by then
    submitter.send_signal(signal.SIGKILL)
    submitter.communicate()
    status, fact, stderr = place.run(*place.fan_out("--shape", shape))
    assert (status, fact.get("status")) in ((0, "completed"), (0, "already done")), stderr


# Of a pod that has not started, in seconds.
CHECK_AFTER = ("--pending-check-after", "20" if REAL else "0.5")


def test_an_image_that_is_not_there_becomes_a_diagnosis(place):
    words = place.fan_out("--shape", "per-company", *CHECK_AFTER)
    status, _, stderr = place.run(*words, "--image", "localhost/no-such-image:0")
    assert status == 3, stderr
    assert "image_pull" in stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--memory", "16Mi"), "minimum memory usage per Container is 32Mi, but request is 16Mi"),
        (("--cpu", "9"), "must be less than or equal to cpu limit"),
    ],
)
def test_what_the_namespace_s_limits_refuse_is_reported_at_once(place, words, said):
    status, _, stderr = place.run(*place.fan_out("--shape", "per-company", *CHECK_AFTER, *words))
    assert status == 3, stderr
    assert "refused: " in stderr
    assert said in stderr


def test_cancel_leaves_nothing(place):
    submitter = place.start(*place.fan_out("--shape", "per-company", "--image", "localhost/no-such-image:0"))
    time.sleep(5 if REAL else 2)
    submitter.send_signal(signal.SIGKILL)
    submitter.communicate()
    status, fact, stderr = place.run(*place.fan_out("--cancel"))
    assert (status, fact.get("status")) == (0, "cancelled"), stderr
    status, fact, stderr = place.run(*place.fan_out("--cancel"))
    assert (status, fact.get("jobs_deleted")) == (0, 0), stderr


@pytest.mark.parametrize("folder", ["k8s/base", "k8s/overlays/local"])
def test_the_cluster_accepts_our_manifests(folder):
    kubectl = shutil.which("kubectl")
    if not REAL or kubectl is None:
        pytest.skip("a server-side dry run needs kubectl and a real cluster: set KUBECONFIG and IMAGE")
    words = [kubectl, "apply", "--dry-run=server", "--validate=strict", "-k", str(ROOT / folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
