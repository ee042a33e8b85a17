import unittest
from typing import Any

from data_pipeline.fan_out.observe import ObservedJob, leftovers, newest, observe_job
from etl_core.kube.observe import Phase
from packages.data_pipeline.tests.unit.fan_out.fakes import A, a_job


class ObserveJob(unittest.TestCase):
    def job(self, labels: dict[str, str] | None = None, spec: Any = None, **status: Any) -> ObservedJob:
        ours = {"openpayments.io/unit": A, "openpayments.io/attempt": "2"} if labels is None else labels
        return observe_job({"metadata": {"name": "op-1", "labels": ours}, "spec": spec or {}, "status": status})

    def test_unit_and_attempt_come_from_the_labels(self):
        found = self.job()

        self.assertEqual((found.name, found.unit, found.attempt, found.phase), ("op-1", A, 2, "waiting"))

    def test_a_job_with_foreign_labels_is_a_first_attempt_of_no_unit(self):
        for labels in ({}, {"openpayments.io/attempt": "x"}, {"openpayments.io/attempt": ""}):
            with self.subTest(labels=labels):
                found = self.job(labels)
                self.assertEqual((found.unit, found.attempt), ("", 1))
        self.assertEqual(observe_job({"metadata": {"name": "op-1"}}).unit, "")

    def test_a_job_has_started_once_one_of_its_pods_ran(self):
        cases: list[tuple[dict[str, Any], bool]] = [
            ({}, False),
            ({"active": 1}, False),
            ({"active": 1, "ready": 0}, False),
            ({"active": 1, "ready": 1}, True),
            ({"active": 1, "failed": 1}, False),
            ({"failed": 1, "ready": 0}, True),
            ({"ready": 0, "uncountedTerminatedPods": {"failed": ["uid"]}}, True),
            ({"ready": 0, "terminating": 0, "uncountedTerminatedPods": {}}, False),
            ({"succeeded": 1}, True),
            ({"active": 1, "terminating": 1}, True),
        ]
        for status, started in cases:
            with self.subTest(status=status):
                self.assertEqual(self.job(**status).started, started)

    def test_a_job_may_be_suspended(self):
        self.assertTrue(self.job(spec={"suspend": True}).suspended)
        self.assertFalse(self.job(spec={"suspend": False}).suspended)


class Leftovers(unittest.TestCase):
    def test_ended_jobs_that_nobody_waits_for_are_named(self):
        for job, is_left in [
            (a_job(A, "succeeded", release="r", run_id="lost"), True),
            (a_job(A, "failed", release="r", run_id="lost"), True),
            (a_job(A, "running", release="r", run_id="lost"), False),
            (a_job(A, "succeeded", release="older", run_id="lost"), False),
            (a_job("packed-1", "succeeded", release="r", run_id="done"), True),
            (a_job("packed-1", "succeeded", release="older", run_id="done"), True),
            (a_job("packed-1", "failed", release="r", run_id="done"), False),
            (a_job("packed-1", "succeeded", release="r", run_id="lost"), False),
            (a_job("packed-1", "succeeded", release="r"), False),
        ]:
            with self.subTest(job=job):
                found = leftovers([job], "r", {A}, lambda run_id: run_id in ("done", ""))
                self.assertEqual(found, [job.name] if is_left else [])


class Newest(unittest.TestCase):
    def test_an_open_job_counts_else_the_latest_attempt(self):
        cases: list[tuple[list[Phase], int]] = [
            (["failed"], 1),
            (["failed", "failed"], 2),
            (["failed", "running"], 2),
            (["running", "failed"], 1),
            (["waiting", "succeeded", "failed"], 1),
            (["running", "waiting"], 2),
        ]
        for phases, attempt in cases:
            with self.subTest(phases=phases):
                jobs = [a_job(A, phase, number) for number, phase in enumerate(phases, 1)]
                for given_in in (jobs, jobs[::-1]):
                    self.assertEqual(newest(given_in)[A].attempt, attempt)
