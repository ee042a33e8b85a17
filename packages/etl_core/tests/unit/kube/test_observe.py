import unittest
from typing import Any

from etl_core.kube.observe import phase_of_job


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
        for status in ({"active": 1, "ready": 0}, {"failed": 1}, {"succeeded": 1}):
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
