"""A worker that hangs in a pod: its heartbeat grows old, the probe ends it, and its successor finishes the work."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from sandbox.cluster import Cluster, ClusterSettings

pytestmark = [pytest.mark.long, pytest.mark.timeout(200)]
COMPANY = {"company_rows": {"100000000053": 900}, "first_companies": None}


def until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)
    return found


def exit_codes(cluster):
    """Of the containers that have ended."""
    statuses = [one for pod in cluster.pods() for one in pod["status"].get("containerStatuses") or []]
    return [one["state"]["terminated"]["exitCode"] for one in statuses if "terminated" in one["state"]]


@pytest.mark.parametrize("world", [COMPANY], indirect=True, ids=[""])
def test_a_hung_worker_is_restarted_and_resumes(world, tmp_path):
    world.source.fault("stall", count=1, match="/download", params={"seconds": 3600})
    settings = ClusterSettings(
        base_environment={"PATH": str(Path(sys.executable).parent) + os.pathsep + os.defpath},
        images={"etl": [sys.executable, "-m", "data_pipeline"]},
        service_accounts=("default", "data-pipeline-worker"),
        probe_seconds=2.0,  # five of them fail in a row before a process that only starts would be ended
    )
    with Cluster(settings) as cluster:
        words = ("fan_out", "--", "--year", "2024", "--poll-interval", "0.2", "--image", "etl")
        patient = {"SOURCE_TIMEOUT_SECONDS": "3600", "GRACE_SECONDS": "1"}
        kubeconfig = str(cluster.kubeconfig(tmp_path / "kubeconfig"))
        submitter = world.start(*words, **patient, KUBECONFIG=kubeconfig)
        heartbeats = Path(cluster._kubelet._folder.name)
        until(world.downloads)
        (heartbeat,) = until(lambda: [*heartbeats.glob("*/heartbeat")])
        an_hour_ago = time.time() - 3600
        os.utime(heartbeat, (an_hour_ago, an_hour_ago))  # nothing touches it: the only stream hangs

        (ended,) = until(lambda: exit_codes(cluster))
        assert ended == 143
        stdout, stderr = submitter.communicate(timeout=120)

        assert submitter.returncode == 0, stderr
        assert json.loads(stdout)["status"] == "completed"
        world.assert_equals_truth()
        assert not cluster.bugs
