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


def event(reason: str, about: str = "op-1", message: str = "") -> dict[str, Any]:
    return {"reason": reason, "message": message, "involvedObject": {"name": about}}


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

    def test_only_a_container_killed_for_its_memory_is_out_of_memory(self):
        for pod, reason in [
            (ended(137, "OOMKilled"), "out_of_memory"),
            (ended(1, "OOMKilled"), "out_of_memory"),
            (ended(137), "exit_137"),
        ]:
            with self.subTest(pod=pod):
                why = self.explain(pod)
                self.assertEqual((why.reason, why.started, why.temporary), (reason, True, True))
        self.assertIn("was killed by signal 9, with the unknown status 137", self.explain(ended(137)).detail)

    def test_a_container_that_cannot_start_never_ran_and_never_will(self):
        for reason in ("StartError", "ContainerCannotRun"):
            with self.subTest(reason=reason):
                why = self.explain(ended(128, reason, 'exec: "no-such-program": executable file not found in $PATH'))
                self.assertEqual((why.reason, why.started, why.temporary), ("configuration", False, False))
                self.assertIn(f"({reason}). exec:", why.detail)

    def test_our_container_is_found_by_name_among_others(self):
        running = {"running": {"startedAt": MADE}}
        for others in ([], ["a-proxy"], ["a-proxy", "z-proxy"]):
            with self.subTest(others=others):
                pod = ended(3, message="DataError: no such column")
                beside = [{"name": name, "state": running} for name in others]
                statuses = sorted(beside + pod["status"]["containerStatuses"], key=lambda one: str(one["name"]))
                pod["status"] |= {"phase": "Running", "containerStatuses": statuses}
                self.assertEqual(self.explain(pod).reason, "exit_3")
        foreign = a_pod(containerStatuses=[{"name": "a-proxy", "state": {"terminated": {"exitCode": 1}}}])
        self.assertIsNone(explain_pod(foreign))

    def test_a_pod_in_container_creating_is_explained_by_its_newest_event(self):
        for reason, word in [
            ("FailedCreatePodSandBox", "pod_sandbox"),
            ("FailedMount", "volume_mount"),
            ("FailedAttachVolume", "volume_mount"),
            ("Pulling", "slow_pull"),
        ]:
            with self.subTest(reason=reason):
                events = [event(reason, "op-1-abcde", "the message"), event("Scheduled", "op-1-abcde")]
                why = explain_pod(waiting("ContainerCreating"), events)
                assert why is not None
                self.assertEqual((why.reason, why.started, why.temporary), (word, False, True))
                self.assertIn(f"({reason}). the message", why.detail)
        pulled = [event("Pulling", "op-1-abcde"), event("Pulled", "op-1-abcde")]
        self.assertIsNone(explain_pod(waiting("ContainerCreating"), pulled))
        self.assertIsNone(explain_pod(a_pod(phase="Running"), events))

    def test_an_exit_status_is_explained_with_the_last_line(self):
        why = self.explain(ended(3, message="line\nDataError: no such column\n"))

        self.assertEqual((why.reason, why.temporary, why.started), ("exit_3", False, True))
        self.assertIn("(permanent: fix configuration or data). DataError: no such column", why.detail)

    def test_an_image_that_cannot_be_pulled(self):
        for reason in (
            "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
        ):  # fmt: skip
            with self.subTest(reason=reason):
                why = self.explain(waiting(reason, 'Back-off pulling image "nothing:latest"'))
                self.assertEqual((why.reason, why.started, why.temporary), ("image_pull", False, False))
                self.assertIn(f'({reason}). Back-off pulling image "nothing:latest"', why.detail)

    def test_a_pull_that_fails_for_now_is_temporary(self):
        refused = 'Failed to pull image "etl:1": rpc error: toomanyrequests: You have reached your pull rate limit.'
        for reason, message, said in [
            ("ErrImagePull", "pull QPS exceeded", ""),
            ("ErrImagePull", "rpc error: toomanyrequests: You have reached your pull rate limit.", ""),
            ("ImagePullBackOff", 'Back-off pulling image "etl:1"', refused),
            ("ErrImagePull", "dial tcp: lookup registry: i/o timeout", ""),
            ("RegistryUnavailable", "no answer", ""),
        ]:
            with self.subTest(reason=reason, message=message):
                events = [event("Failed", "op-1-abcde", text) for text in (said, "Error: ImagePullBackOff")]
                why = explain_pod(waiting(reason, message), events)
                assert why is not None
                self.assertEqual((why.reason, why.started, why.temporary), ("image_pull", False, True))
                self.assertIn(f"({reason}). {message}", why.detail)

    def test_a_pull_that_keeps_failing_stays_permanent_whatever_it_said_before(self):
        events = [event("Failed", "op-1-abcde", "Failed to pull image: pull QPS exceeded"),
                  event("Failed", "op-1-abcde", "Failed to pull image: not found")]  # fmt: skip
        why = explain_pod(waiting("ImagePullBackOff"), events)

        assert why is not None
        self.assertFalse(why.temporary)
        self.assertIn("not found", why.detail)

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
        self.assertEqual(
            str(why), "exit_139: the container was killed by signal 11, with the unknown status 139. core dumped"
        )
        self.assertIn("the container ended, with the unknown status 77", explain_exit(77).detail)

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

    def test_a_refusal_is_waited_for_only_if_it_may_pass(self):
        forbidden = 'Error creating: pods "op-1-x" is forbidden: '
        for message, reason, temporary in [
            (forbidden + "minimum memory usage per Container is 32Mi, but request is 16Mi", "refused", False),
            (forbidden + "maximum cpu usage per Container is 8, but limit is 9", "refused", False),
            (forbidden + "failed quota: small: must specify limits.cpu for: job", "refused", False),
            (forbidden + 'violates PodSecurity "restricted:latest"', "refused", False),
            ('Error creating: Pod "op-1" is invalid: … must be less than or equal to cpu limit of 8', "refused", False),
            ('Error creating: admission webhook "a.example" denied the request: no owner', "refused", False),
            ("Error creating: ValidatingAdmissionPolicy 'a' with binding 'b' denied request: no", "refused", False),
            (forbidden + 'error looking up service account t/w: serviceaccount "w" not found', "configuration", False),
            ('Error creating: Internal error occurred: failed calling webhook "is.invalid": EOF', "not_created", True),
            (forbidden + "status unknown for quota: small, resources: pods", "not_created", True),
            (forbidden + "exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2", "quota", True),
            ("Error creating: etcdserver: request timed out", "not_created", True),
        ]:  # fmt: skip
            with self.subTest(message=message):
                why = explain_job(a_job(), [], [event("SuccessfulCreate"), event("FailedCreate", message=message)])
                self.assertEqual((why.reason, why.started, why.temporary), (reason, False, temporary))
                self.assertIn(message[-20:], why.detail)

    def test_an_out_of_memory_kill_is_permanent_when_it_repeats(self):
        def killed(index: str) -> dict[str, Any]:
            pod = ended(137, "OOMKilled")
            pod["metadata"]["labels"] = {"batch.kubernetes.io/job-completion-index": index}
            return pod

        once, twice = ended(137, "OOMKilled"), [ended(137, "OOMKilled")] * 2
        for pods, temporary in [([once], True), (twice, False), ([killed("0"), killed("1")], True),
                                ([killed("0"), killed("0")], False)]:  # fmt: skip
            with self.subTest(pods=len(pods), temporary=temporary):
                why = explain_job(a_job(), pods)
                self.assertEqual((why.reason, why.temporary), ("out_of_memory", temporary))
        self.assertIn("killed 2 times with the same limit", explain_job(a_job(), twice).detail)

    def test_a_job_whose_pod_was_evicted_and_is_gone_has_started(self):
        events = [event("FailedCreate", message="exceeded quota"), event("SuccessfulCreate", message="Created pod: x")]

        why = explain_job(a_job(ready=0, terminating=0), [], events)

        self.assertEqual((why.reason, why.started, why.temporary), ("disrupted", True, True))
        self.assertIn("its pod is gone and its successor is not there yet. Created pod: x", why.detail)

    def test_a_pod_that_exists_is_never_lost(self):
        running = a_pod(phase="Running", containerStatuses=container(running={"startedAt": MADE}))
        beside = ended(0, "Completed")
        beside["status"] |= {"phase": "Running"}
        for pod, word, found, started in [
            (a_pod(), "starting", "is not scheduled yet", False),
            (waiting("ContainerCreating"), "starting", "ContainerCreating", False),
            (running, "starting", "runs", True),
            (ended(0, "Completed"), "ended", "status 0", True),
            (beside, "ended", "status 0", True),
        ]:
            with self.subTest(pod=pod):
                why = explain_job(a_job(), [pod])
                self.assertEqual((why.reason, why.temporary, why.started), (word, True, started))
                self.assertIn(found, why.detail)

    def test_only_events_of_a_pod_explain_it(self):
        pods = [waiting("ContainerCreating")]

        self.assertEqual(explain_job(a_job(), pods, [event("FailedMount", "op-1-abcde")]).reason, "volume_mount")
        self.assertEqual(explain_job(a_job(), pods, [event("FailedMount", "another")]).reason, "starting")

    def test_the_conditions_of_a_job_explain_it_if_nothing_else_does(self):
        for kind in ("Failed", "FailureTarget"):
            for reason, word in [("BackoffLimitExceeded", "job_failed"), ("DeadlineExceeded", "deadline")]:
                with self.subTest(kind=kind, reason=reason):
                    why = explain_job(a_job(condition(kind, reason=reason, message="the message")), [])
                    self.assertEqual((why.reason, why.started), (word, True))
                    self.assertIn(f"({reason}). the message", why.detail)

    def test_a_job_whose_pods_have_no_status_is_lost(self):
        why = explain_job(a_job(condition("Failed", "False")), [a_pod(phase="Failed")])

        self.assertEqual((why.reason, why.temporary, why.started), ("lost", True, True))

    def test_a_job_without_a_pod_never_started(self):
        why = explain_job(a_job(), [])

        self.assertEqual((why.reason, why.started), ("never_started", False))
