import unittest
from typing import Any, cast

from etl_core.kube.client import Cluster
from etl_core.kube.diagnose import diagnose

JOB: dict[str, Any] = {"status": {}}


class Events:
    """The events of objects, and whose were read."""

    def __init__(self, **events: str) -> None:
        self._events = events
        self.read: list[str] = []

    def events(self, name: str) -> list[dict[str, Any]]:
        self.read.append(name)
        reason = self._events.get(name)
        return [{"reason": reason, "message": "m", "involvedObject": {"name": name}}] if reason else []


def a_pod(name: str, phase: str = "Pending", made: str = "1") -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": made}, "status": {"phase": phase}}


class Diagnose(unittest.TestCase):
    def test_the_events_that_may_explain_a_job_are_read_and_no_others(self):
        events = {"job": "SuccessfulCreate", "old": "Pulling", "new": "FailedMount"}
        for pods, read, reason in [
            ([], ["job"], "disrupted"),
            ([a_pod("old")], ["old"], "slow_pull"),
            ([a_pod("old"), a_pod("new", made="2")], ["new"], "volume_mount"),
            ([a_pod("old", "Running")], [], "starting"),
        ]:
            with self.subTest(pods=pods):
                cluster = Events(**events)
                self.assertEqual(diagnose(cast("Cluster", cluster), "job", JOB, pods).reason, reason)
                self.assertEqual(cluster.read, read)
