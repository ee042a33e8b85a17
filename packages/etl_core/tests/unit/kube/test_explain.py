import unittest
from typing import Any

from etl_core.errors import EXIT_STATUSES
from etl_core.kube.explain import Diagnosis, explain_exit, explain_job, explain_pod

MADE = "2026-07-14T12:00:00Z"


def condition(kind: str, status: str = "True", **more: str) -> dict[str, Any]:
    return {"type": kind, "status": status, **more}


def a_pod(*conditions: dict[str, Any], made: str = MADE, **status: Any) -> dict[str, Any]:
    """A pod as a list shows it."""
    return {
        "metadata": {"name": "op-1-abcde", "creationTimestamp": made, "labels": {}},
        "status": {"phase": "Pending", "conditions": list(conditions), **status},
    }


def container(**state: Any) -> list[dict[str, Any]]:
    """``containerStatuses`` of one container, as the kubelet writes them."""
    return [{"name": "job", "ready": False, "restartCount": 0, "state": state, "lastState": {}}]


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    state = {"reason": reason, "message": message} if message else {"reason": reason}
    return a_pod(containerStatuses=container(waiting=state), **more)


def ended(code: int, reason: str = "Error", message: str = "", **more: Any) -> dict[str, Any]:
    state = {"exitCode": code, "reason": reason, "startedAt": MADE, "finishedAt": MADE}
    return a_pod(
        phase="Failed" if code else "Succeeded",
        containerStatuses=container(terminated=state | ({"message": message} if message else {})),
        **more,
    )


EVICTED = a_pod(
    condition("DisruptionTarget", reason="TerminationByKubelet", message="The node was low on resource: memory."),
    phase="Failed",
    reason="Evicted",
    message="The node was low on resource: memory.",
)
TAINTED = a_pod(
    condition("DisruptionTarget", reason="DeletionByTaintManager", message="Taint manager: deleting due to NoExecute"),
    phase="Failed",
    containerStatuses=container(terminated={"exitCode": 137, "reason": "Error"}),
)
UNSCHEDULABLE = a_pod(
    condition("PodScheduled", "False", reason="Unschedulable", message="0/3 nodes are available: 3 Insufficient cpu.")
)
OVERDUE = a_pod(
    phase="Failed",
    reason="DeadlineExceeded",
    message="Pod was active on the node longer than the specified deadline",
    containerStatuses=container(terminated={"exitCode": 137, "reason": "Error"}),
)


def a_job(*conditions: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "op-1"}, "status": {"conditions": list(conditions), **status}}


class ExplainPod(unittest.TestCase):
    def explain(self, pod: dict[str, Any]) -> Diagnosis:
        why = explain_pod(pod)
        assert why is not None
        return why

    def test_a_healthy_pod_needs_no_explanation(self):
        for pod in (
            {},
            a_pod(),
            a_pod(condition("PodScheduled"), phase="Running", containerStatuses=container(running={"startedAt": MADE})),
            waiting("ContainerCreating"),
            ended(0, "Completed"),
            a_pod(condition("DisruptionTarget", "False")),
        ):
            with self.subTest(pod=pod):
                self.assertIsNone(explain_pod(pod))

    def test_an_evicted_pod(self):
        why = self.explain(EVICTED)

        self.assertEqual((why.reason, why.temporary, why.started), ("evicted", True, True))
        self.assertIn("(TerminationByKubelet). The node was low on resource: memory.", why.detail)

    def test_an_evicted_pod_without_a_condition(self):
        why = self.explain(a_pod(phase="Failed", reason="Evicted", message="The node had condition: [DiskPressure]."))

        self.assertEqual(why.reason, "evicted")
        self.assertIn("(Evicted). The node had condition: [DiskPressure].", why.detail)

    def test_a_disruption_comes_before_the_exit_status(self):
        for pod in (
            TAINTED,
            a_pod(condition("DisruptionTarget", reason="PreemptionByScheduler"), phase="Failed"),
            a_pod(condition("DisruptionTarget", reason="EvictionByEvictionAPI"), phase="Running"),
            a_pod(phase="Failed", reason="NodeLost"),
            a_pod(
                phase="Failed", reason="Shutdown", message="Pod was terminated in response to imminent node shutdown"
            ),
            a_pod(phase="Failed", reason="Preempting"),
        ):
            with self.subTest(pod=pod):
                why = self.explain(pod)
                self.assertEqual((why.reason, why.temporary), ("disrupted", True))

    def test_a_pod_killed_at_its_deadline_is_not_out_of_memory(self):
        why = self.explain(OVERDUE)

        self.assertEqual(why.reason, "deadline")

    def test_a_killed_container_is_out_of_memory(self):
        for pod in (ended(137, "OOMKilled"), ended(137), ended(1, "OOMKilled")):
            with self.subTest(pod=pod):
                why = self.explain(pod)
                self.assertEqual((why.reason, why.started, why.temporary), ("out_of_memory", True, True))

    def test_an_exit_status_is_explained_with_the_last_line(self):
        why = self.explain(ended(3, message="line\nDataError: no such column\n"))

        self.assertEqual((why.reason, why.temporary, why.started), ("exit_3", False, True))
        self.assertIn("(permanent: fix configuration or data). DataError: no such column", why.detail)

    def test_an_image_that_cannot_be_pulled(self):
        for reason in (
            "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable",
        ):  # fmt: skip
            with self.subTest(reason=reason):
                why = self.explain(waiting(reason, 'Back-off pulling image "nothing:latest"'))
                self.assertEqual((why.reason, why.started, why.temporary), ("image_pull", False, False))
                self.assertIn(f'({reason}). Back-off pulling image "nothing:latest"', why.detail)

    def test_a_container_that_cannot_be_created(self):
        for reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
            with self.subTest(reason=reason):
                why = self.explain(waiting(reason, 'secret "keys" not found'))
                self.assertEqual((why.reason, why.started, why.temporary), ("configuration", False, False))
                self.assertIn('secret "keys" not found', str(why))

    def test_an_unschedulable_pod(self):
        why = self.explain(UNSCHEDULABLE)

        self.assertEqual((why.reason, why.started, why.temporary), ("unschedulable", False, True))
        self.assertIn("3 Insufficient cpu.", why.detail)

    def test_a_pod_on_a_lost_node_is_disrupted(self):
        self.assertEqual(
            self.explain(a_pod(phase="Failed", reason="NodeLost", containerStatuses=[])).reason, "disrupted"
        )


class ExplainExit(unittest.TestCase):
    def test_the_table_says_whether_an_exit_status_is_temporary(self):
        for status in EXIT_STATUSES:
            with self.subTest(status=status):
                why = explain_exit(status.code)
                self.assertEqual((why.reason, why.temporary), (f"exit_{status.code}", status.retryable))
                self.assertIn(status.meaning, why.detail)

    def test_an_unknown_exit_status_is_temporary(self):
        why = explain_exit(139, "core dumped")

        self.assertEqual((why.reason, why.temporary), ("exit_139", True))
        self.assertEqual(str(why), "exit_139: the container ended with the unknown status 139. core dumped")

    def test_only_the_last_line_of_a_message_is_quoted(self):
        self.assertIn("). last", explain_exit(4, "first\nsecond\nlast\n\n").detail)
        self.assertNotIn("second", explain_exit(4, "first\nsecond\nlast").detail)
        self.assertLess(len(explain_exit(4, "x" * 5000).detail), 400)
        self.assertEqual(explain_exit(4, " \n ").detail, explain_exit(4).detail)


QUOTA = {
    "reason": "FailedCreate",
    "message": 'Error creating: pods "op-1-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2',
}
ADMISSION = {"reason": "FailedCreate", "message": 'Error creating: serviceaccount "worker" not found'}


class ExplainJob(unittest.TestCase):
    def test_the_newest_pod_explains_a_job(self):
        pods = [
            ended(4, made="2026-07-14T12:00:00Z"),
            ended(3, made="2026-07-14T12:09:00Z"),
            ended(1, made="2026-07-14T12:05:00Z"),
        ]

        self.assertEqual(explain_job(a_job(), pods).reason, "exit_3")

    def test_an_exit_status_comes_before_the_disruption_of_another_pod(self):
        for taken in (EVICTED, TAINTED):
            with self.subTest(taken=taken):
                later = {**taken, "metadata": {**taken["metadata"], "creationTimestamp": "2026-07-15T00:00:00Z"}}
                self.assertEqual(explain_job(a_job(), [ended(4), later]).reason, "exit_4")
                self.assertIn(explain_job(a_job(), [ended(0), later]).reason, ("evicted", "disrupted"))

    def test_a_job_without_quota(self):
        events = [{"reason": "Normal"}, {"reason": "SuccessfulCreate", "message": "Created pod"}, QUOTA]

        why = explain_job(a_job(), [], events)

        self.assertEqual((why.reason, why.started, why.temporary), ("quota", False, True))
        self.assertIn("exceeded quota: small", why.detail)

    def test_a_pod_comes_before_an_event(self):
        self.assertEqual(explain_job(a_job(), [UNSCHEDULABLE], [QUOTA]).reason, "unschedulable")

    def test_rejected_pods_are_a_configuration_error(self):
        why = explain_job(a_job(), [], [ADMISSION])

        self.assertEqual((why.reason, why.started, why.temporary), ("configuration", False, False))
        self.assertIn('serviceaccount "worker" not found', why.detail)

    def test_a_failed_webhook_is_temporary_and_a_rejected_pod_is_not(self):
        for message, temporary in [
            ("Error creating: Internal error occurred: failed calling webhook: context deadline exceeded", True),
            ('Error creating: pods "op-1" is forbidden: violates PodSecurity "restricted:latest"', False),
            ('Error creating: Pod "op-1" is invalid: spec.containers: Required value', False),
            ('Error creating: error looking up service account team/worker: serviceaccount "worker" not found', False),
        ]:
            with self.subTest(message=message):
                why = explain_job(a_job(), [], [{"reason": "FailedCreate", "message": message}])
                self.assertEqual((why.reason, why.temporary), ("configuration", temporary))

    def test_the_conditions_of_a_job_explain_it_if_nothing_else_does(self):
        for kind in ("Failed", "FailureTarget"):
            for reason, word in [("BackoffLimitExceeded", "job_failed"), ("DeadlineExceeded", "deadline")]:
                with self.subTest(kind=kind, reason=reason):
                    why = explain_job(a_job(condition(kind, reason=reason, message="the message")), [])
                    self.assertEqual((why.reason, why.started), (word, True))
                    self.assertIn(f"({reason}). the message", why.detail)

    def test_a_job_whose_pods_have_no_status_is_lost(self):
        why = explain_job(a_job(condition("Failed", "False")), [a_pod()])

        self.assertEqual((why.reason, why.temporary, why.started), ("lost", True, True))

    def test_a_job_without_a_pod_never_started(self):
        why = explain_job(a_job(), [])

        self.assertEqual((why.reason, why.started), ("never_started", False))
