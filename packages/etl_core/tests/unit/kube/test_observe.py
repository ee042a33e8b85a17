import unittest
from typing import Any

from etl_core.kube.observe import container_state, exit_code, is_over, outlives_job, phase_of_job


def condition(kind: str, status: str = "True") -> dict[str, Any]:
    return {"type": kind, "status": status}


def a_job(*conditions: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "op-1"}, "status": {"conditions": list(conditions), **status}}


class PhaseOfAJob(unittest.TestCase):
    def test_a_new_job_is_waiting(self):
        bare: list[dict[str, Any]] = [{}, {"status": {}}]
        for job in (*bare, a_job(), a_job(ready=0, active=0), a_job(condition("Suspended"))):
            with self.subTest(job=job):
                self.assertEqual(phase_of_job(job), "waiting")

    def test_a_job_that_had_a_pod_is_running(self):
        uncounted = {"ready": 0, "uncountedTerminatedPods": {"failed": ["uid"]}}
        for status in ({"active": 1, "ready": 0}, {"failed": 1}, {"succeeded": 1}, {"terminating": 1}, uncounted):
            with self.subTest(status=status):
                self.assertEqual(phase_of_job(a_job(**status)), "running")

    def test_a_job_has_ended_as_soon_as_its_end_is_certain(self):
        for kind, phase in [
            ("Complete", "succeeded"),
            ("SuccessCriteriaMet", "succeeded"),
            ("Failed", "failed"),
            ("FailureTarget", "failed"),
        ]:
            with self.subTest(kind=kind):
                self.assertEqual(phase_of_job(a_job(condition(kind), active=1)), phase)
                self.assertEqual(phase_of_job(a_job(condition(kind, "False"), active=1)), "running")


def a_pod(phase: str, **states: dict[str, Any]) -> dict[str, Any]:
    """A pod with a container for each state, in the order of their names."""
    statuses = [{"name": name.replace("_", "-"), "state": states[name]} for name in sorted(states)]
    return {"metadata": {"name": "op-1-x"}, "status": {"phase": phase, "containerStatuses": statuses}}


RUNS: dict[str, Any] = {"running": {"startedAt": "2026-07-14T12:00:00Z"}}


def ended(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}


class OurContainer(unittest.TestCase):
    def test_the_state_of_our_container_decides_whatever_is_beside_it(self):
        for pod, code, over, outlives in [
            (a_pod("Running", job=RUNS), None, False, False),
            (a_pod("Running", a_proxy=RUNS, job=RUNS), None, False, False),
            (a_pod("Running", a_proxy=RUNS, job=ended(0)), 0, False, True),
            (a_pod("Running", a_proxy=RUNS, job=ended(3)), 3, False, True),
            (a_pod("Running", a_proxy=ended(1), job=RUNS), None, False, False),
            (a_pod("Failed", a_proxy=ended(0), job=ended(3)), 3, True, False),
            (a_pod("Succeeded", job=ended(0)), 0, True, False),
            (a_pod("Pending"), None, False, False),
            ({"metadata": {"name": "op-1-x"}}, None, False, False),
        ]:
            with self.subTest(pod=pod):
                self.assertEqual((exit_code(pod), is_over(pod), outlives_job(pod)), (code, over, outlives))

    def test_a_container_without_a_status_has_no_state(self):
        self.assertEqual(container_state(a_pod("Pending", a_proxy=RUNS)), {})
