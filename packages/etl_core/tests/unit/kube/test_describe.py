import itertools
import os
import re
import subprocess
import tempfile
import time
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl_core.errors import EXIT_STATUSES, DataError, UsageError
from etl_core.kube.describe import (
    HUNG_AFTER_MINUTES,
    LONGEST_NAME,
    JobSpec,
    PodOptions,
    digest_annotation,
    job_body,
    job_name,
    label_value,
    pod_failure_policy,
)
from etl_core.retry import LONGEST_WAIT_SECONDS, RetryPolicy

VERSIONS = ("1.31", "1.33", "1.37")
A_SPEC = JobSpec(
    name="copy-53-0123456789",
    identity={"source": "a", "unit": "53"},
    args=("run", "--index", "0"),
    pod=PodOptions("registry.test/etl@sha256:" + "a" * 64, "worker", env={"B": "x", "A": "1"}),
    user_id=10001,
    annotation_prefix="example.org",
    labels={"example.org/unit": "53", "example.org/run-id": "r1"},
    annotations={"example.org/plan-sha256": "b" * 64},
)
INDEXED = replace(A_SPEC, indexes=7)


def changed(spec: JobSpec, **changes: Any) -> JobSpec:
    """The spec with other values, of its own and of its pods."""
    of_pod = {name: changes.pop(name) for name in [*changes] if name in PodOptions.__dataclass_fields__}
    return replace(spec, pod=replace(spec.pod, **of_pod), **changes)


def pod_of(body: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = body["spec"]["template"]["spec"]
    return pod


def container_of(body: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod_of(body)["containers"]
    assert isinstance(container, dict)
    return container


class JobName(unittest.TestCase):
    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=300), st.lists(st.text(max_size=300), max_size=3))
    @example("A" * 300, ["A" * 300])
    @example("Müller, Söhne & Co. 'GmbH'", ["1"])
    @example("-" * 100, [])
    @example("x" * 51 + "-----y", ["x"])
    def test_any_slug_makes_a_valid_job_name(self, slug, identity):
        name = job_name(slug, *identity)

        self.assertLessEqual(len(name), LONGEST_NAME)
        self.assertRegex(name, r"\A[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")

    def test_the_same_work_has_the_same_job_name(self):
        self.assertEqual(job_name("op-2024-53", "a", "b"), job_name("op-2024-53", "a", "b"))
        self.assertRegex(job_name("op-2024-53", "a", "b"), r"\Aop-2024-53-[0-9a-f]{10}\Z")

    def test_long_ids_with_a_common_prefix_have_different_job_names(self):
        common = "a pharmaceutical company of a very long name " * 5
        names = {job_name(common + end, common + end) for end in ("east", "west")}

        self.assertEqual(len(names), 2)
        self.assertEqual(len({name[:50] for name in names}), 1)

    def test_the_parts_of_an_identity_are_hashed_apart(self):
        names = {job_name("s", *words) for words in (("ab", "c"), ("a", "bc"), ("abc",), ("c", "ab"), ())}

        self.assertEqual(len(names), 5)


class LabelValue(unittest.TestCase):
    def test_valid_label_values_stay_as_they_are(self):
        for text in ("100000000053", "2026-06-30-9323b84e", "a", "A_b.c-d", "x" * 63):
            with self.subTest(text=text):
                self.assertEqual(label_value(text), text)

    def test_an_invalid_label_value_is_an_error_and_never_cut(self):
        for text in ("", "x" * 64, "-a", "a-", "a b", "Müller", "a/b", "a\n", "Johnson & Johnson"):
            with self.subTest(text=text), self.assertRaisesRegex(DataError, "is not a valid Kubernetes label"):
                label_value(text)

    def test_labels_and_queue_of_a_job_are_checked(self):
        for change in ({"labels": {"a": "x y"}}, {"queue": "x y"}):
            with self.subTest(change=change), self.assertRaises(DataError):
                job_body(changed(A_SPEC, **change))


class Liveness(unittest.TestCase):
    def test_a_container_is_watched_only_if_it_is_told_which_file_to_touch(self):
        self.assertNotIn("livenessProbe", container_of(job_body(A_SPEC)))

        container = container_of(job_body(changed(A_SPEC, heartbeat="ALIVE")))

        (mount,) = container["volumeMounts"]
        self.assertIn({"name": "ALIVE", "value": f"{mount['mountPath']}/heartbeat"}, container["env"])
        self.assertIn(f"{mount['mountPath']}/heartbeat", container["livenessProbe"]["exec"]["command"])

    def test_the_probe_fails_for_a_heartbeat_that_is_old_or_missing_and_for_no_other(self):
        command = job_body(changed(A_SPEC, heartbeat="ALIVE"))["spec"]["template"]["spec"]["containers"][0][
            "livenessProbe"
        ]["exec"]["command"]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "heartbeat")
            words = [str(path) if word == "/tmp/heartbeat" else word for word in command]

            def status() -> int:
                return subprocess.run(words, check=False, capture_output=True).returncode

            self.assertNotEqual(status(), 0, "missing")
            for minutes, dies in ((0, False), (HUNG_AFTER_MINUTES - 1, False), (HUNG_AFTER_MINUTES + 2, True)):
                with self.subTest(minutes=minutes):
                    path.touch()
                    os.utime(path, (time.time() - 60 * minutes,) * 2)
                    self.assertEqual(status() != 0, dies)

    def test_the_bound_is_twice_what_a_retry_may_wait(self):
        self.assertGreaterEqual(60 * HUNG_AFTER_MINUTES, 2 * RetryPolicy().total_seconds)
        self.assertGreaterEqual(60 * HUNG_AFTER_MINUTES, 2 * LONGEST_WAIT_SECONDS)


class SpecDigest(unittest.TestCase):
    def changed(self, **change: Any) -> bool:
        return digest_annotation(job_body(changed(A_SPEC, **change))) != digest_annotation(job_body(A_SPEC))

    def test_name_args_labels_annotations_and_more_env_do_not_change_the_digest(self):
        for change in (
            {"name": "another"},
            {"args": ("other",)},
            {"labels": {"a": "b"}},
            {"annotations": {"a": "b"}},
            {"more_env": {"A": "2"}},
        ):
            with self.subTest(change=change):
                self.assertFalse(self.changed(**change))

    def test_whatever_a_job_does_changes_the_digest(self):
        for change in (
            {"identity": {"source": "a", "unit": "54"}},
            {"image": "another"},
            {"image_pull_policy": "Always"},
            {"env": {"B": "y", "A": "1"}},
            {"env_from": ("secret/keys",)},
            {"service_account": "other"},
            {"cpu": "1"},
            {"memory": "1Gi"},
            {"scratch": "3Gi"},
            {"retries": 1},
            {"timeout_hours": 1},
            {"grace_seconds": 61},
            {"ttl_seconds": 60},
            {"queue": "main"},
            {"pod_label": {"sidecar.istio.io/inject": "false"}},
            {"pod_annotation": {"linkerd.io/inject": "disabled"}},
            {"user_id": 1000},
            {"indexes": 2},
            {"heartbeat": "ALIVE"},
        ):
            with self.subTest(change=change):
                self.assertTrue(self.changed(**change))

    def test_the_order_of_mappings_does_not_change_the_digest(self):
        self.assertFalse(self.changed(env={"A": "1", "B": "x"}))
        self.assertFalse(self.changed(identity={"unit": "53", "source": "a"}))

    def test_the_digest_is_an_annotation_with_the_prefix_of_the_caller(self):
        body = job_body(A_SPEC)

        name, digest = digest_annotation(body)
        self.assertEqual(name, "example.org/spec-sha256")
        self.assertRegex(digest, r"\A[0-9a-f]{64}\Z")
        self.assertEqual(body["metadata"]["annotations"], {**A_SPEC.annotations, name: digest})


class PodFailurePolicy(unittest.TestCase):
    def test_exactly_the_permanent_statuses_end_a_job_at_once(self):
        for indexed, action in ((False, "FailJob"), (True, "FailIndex")):
            with self.subTest(indexed=indexed):
                _, final = pod_failure_policy(indexed=indexed)["rules"]
                self.assertEqual(final["action"], action)
                self.assertEqual(final["onExitCodes"]["containerName"], "job")  # not that of a proxy beside it
                self.assertEqual(final["onExitCodes"]["operator"], "In")
                self.assertEqual(
                    final["onExitCodes"]["values"], [one.code for one in EXIT_STATUSES if not one.retryable]
                )
                self.assertNotIn(0, final["onExitCodes"]["values"])  # Kubernetes refuses it there
                for status in EXIT_STATUSES:
                    self.assertEqual(status.code in final["onExitCodes"]["values"], not status.retryable, status)

    def test_a_disruption_is_the_first_rule(self):
        for indexed in (False, True):
            first = pod_failure_policy(indexed=indexed)["rules"][0]
            self.assertEqual(
                first, {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
            )

    def test_every_job_has_the_failure_policy_and_the_settings_it_needs(self):
        for spec in (A_SPEC, INDEXED):
            body = job_body(spec)
            self.assertEqual(body["spec"]["podFailurePolicy"], pod_failure_policy(indexed=spec.indexes is not None))
            self.assertEqual(body["spec"]["podReplacementPolicy"], "Failed")
            self.assertEqual(pod_of(body)["restartPolicy"], "Never")


class JobBody(unittest.TestCase):
    def test_bodies_pass_the_strict_schemas_of_kubernetes(self):
        for indexes, queue, env_from, pull in itertools.product(
            (None, 1, 7), ("", "main"), ((), ("configmap/a", "secret/b")), ("", "IfNotPresent")
        ):
            spec = changed(A_SPEC, indexes=indexes, queue=queue, env_from=env_from, image_pull_policy=pull)
            for version in VERSIONS:
                with self.subTest(indexes=indexes, queue=queue, env_from=env_from, pull=pull, version=version):
                    kubernetes_validate.validate(job_body(spec), version, strict=True)

    def test_the_strict_schemas_reject_an_unknown_field(self):
        body = job_body(INDEXED)
        body["spec"]["maxFailedIndices"] = 1

        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(body, "1.31", strict=True)

    def test_a_pod_is_hardened(self):
        for spec in (A_SPEC, INDEXED):
            body = job_body(spec)
            pod, container = pod_of(body), container_of(body)
            self.assertEqual(
                pod["securityContext"],
                {
                    "runAsNonRoot": True,
                    "runAsUser": 10001,
                    "runAsGroup": 10001,
                    "fsGroup": 10001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            )
            self.assertEqual(
                container["securityContext"],
                {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            )
            self.assertIs(pod["automountServiceAccountToken"], False)
            self.assertIs(pod["enableServiceLinks"], False)
            self.assertEqual(pod["serviceAccountName"], "worker")

    def test_a_pod_can_write_to_one_volume_of_limited_size(self):
        body = job_body(A_SPEC)

        self.assertEqual(pod_of(body)["volumes"], [{"name": "scratch", "emptyDir": {"sizeLimit": "2Gi"}}])
        self.assertEqual(container_of(body)["volumeMounts"], [{"name": "scratch", "mountPath": "/tmp"}])

    def test_a_job_has_limits_on_retries_time_and_retention(self):
        body = job_body(changed(A_SPEC, retries=2, timeout_hours=1 / 60, grace_seconds=70, ttl_seconds=80))

        self.assertEqual(body["spec"]["backoffLimit"], 2)
        self.assertEqual(body["spec"]["ttlSecondsAfterFinished"], 80)
        self.assertEqual(pod_of(body)["activeDeadlineSeconds"], 60)
        self.assertEqual(pod_of(body)["terminationGracePeriodSeconds"], 70)
        # For the whole Job: disruptions do not count as attempts.
        self.assertEqual(body["spec"]["activeDeadlineSeconds"], 180)

    def test_in_an_indexed_job_each_index_fails_alone(self):
        does = job_body(INDEXED)["spec"]

        self.assertEqual((does["completionMode"], does["completions"], does["parallelism"]), ("Indexed", 7, 7))
        self.assertEqual((does["backoffLimitPerIndex"], does["maxFailedIndexes"]), (3, 7))
        self.assertNotIn("backoffLimit", does)
        self.assertEqual(job_body(changed(INDEXED, max_failed_indexes=2))["spec"]["maxFailedIndexes"], 2)
        plain = {"completionMode", "completions", "parallelism", "backoffLimitPerIndex", "maxFailedIndexes"}
        self.assertFalse(plain & set(job_body(A_SPEC)["spec"]))

    def test_memory_is_requested_up_to_its_limit_and_cpu_has_no_limit(self):
        resources = container_of(job_body(changed(A_SPEC, cpu="250m", memory="1Gi")))["resources"]

        self.assertEqual(resources, {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}})

    def test_environment_variables_are_sorted(self):
        one, other = (job_body(changed(A_SPEC, env=env)) for env in ({"B": "2", "A": "1"}, {"A": "1", "B": "2"}))

        self.assertEqual(one, other)
        self.assertEqual(container_of(one)["env"], [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])

    def test_labels_are_on_the_job_and_its_pods(self):
        body = job_body(A_SPEC)
        labels = {"example.org/unit": "53", "example.org/run-id": "r1"}

        self.assertEqual(body["metadata"]["labels"], labels)
        self.assertEqual(body["spec"]["template"]["metadata"]["labels"], labels)

    def test_a_queued_job_starts_suspended(self):
        body = job_body(changed(A_SPEC, queue="main"))

        self.assertIs(body["spec"]["suspend"], True)
        self.assertEqual(body["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "main")
        self.assertNotIn("suspend", job_body(A_SPEC)["spec"])
        self.assertNotIn("kueue.x-k8s.io/queue-name", job_body(A_SPEC)["metadata"]["labels"])

    def test_karpenter_does_not_disrupt_a_pod(self):
        annotations = job_body(A_SPEC)["spec"]["template"]["metadata"]["annotations"]

        self.assertEqual(annotations, {"karpenter.sh/do-not-disrupt": "true"})

    def test_labels_and_annotations_of_pods_can_be_chosen(self):
        chosen = changed(A_SPEC, pod_label={"a.example/inject": "false"}, pod_annotation={"b.example/inject": "no"})
        body = job_body(chosen)
        meta = body["spec"]["template"]["metadata"]

        self.assertEqual(meta["labels"], {"a.example/inject": "false", **A_SPEC.labels})
        self.assertEqual(meta["annotations"], {"karpenter.sh/do-not-disrupt": "true", "b.example/inject": "no"})
        self.assertNotIn("a.example/inject", body["metadata"]["labels"])
        for version in VERSIONS:
            kubernetes_validate.validate(body, version, strict=True)
        with self.assertRaises(DataError):
            job_body(changed(A_SPEC, pod_label={"a.example/inject": "not a value"}))

    def test_optional_fields_are_left_out(self):
        container = container_of(job_body(A_SPEC))

        self.assertNotIn("envFrom", container)
        self.assertNotIn("imagePullPolicy", container)

    def test_an_environment_can_come_from_config_maps_and_secrets(self):
        container = container_of(job_body(changed(A_SPEC, env_from=("configmap/a", "secret/b.c"))))

        self.assertEqual(container["envFrom"], [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b.c"}}])

    def test_any_other_source_of_an_environment_is_a_usage_error(self):
        for text in ("", "a", "configmap", "configmap/", "/a", "ConfigMap/a", "file/a", "secret/b/c", "secret/A"):
            with (
                self.subTest(text=text),
                self.assertRaisesRegex(UsageError, f"{re.escape(repr(text))} is neither configmap/NAME nor"),
            ):
                job_body(changed(A_SPEC, env_from=(text,)))

    def test_changing_a_body_does_not_change_its_spec(self):
        first = job_body(A_SPEC)
        container_of(first)["args"].append("more")
        first["metadata"]["labels"]["more"] = "x"

        self.assertEqual(container_of(job_body(A_SPEC))["args"], list(A_SPEC.args))
        self.assertNotIn("more", job_body(A_SPEC)["metadata"]["labels"])
