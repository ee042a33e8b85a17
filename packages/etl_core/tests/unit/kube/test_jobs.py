import itertools
import re
import unittest
from dataclasses import replace
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl_core.errors import EXIT_STATUSES, DataError, UsageError
from etl_core.kube.jobs import (
    LONGEST_NAME,
    SPEC_DIGEST,
    JobSpec,
    PodOptions,
    job_body,
    job_name,
    label_value,
    pod_failure_policy,
    spec_digest,
)

VERSIONS = ("1.31", "1.33", "1.37")
A_SPEC = JobSpec(
    name="op-2024-100000000053-0123456789",
    identity={"release": "2026-06-30-9323b84e", "unit": "100000000053"},
    args=("run", "fan_out_worker", "--", "--index", "0"),
    pod=PodOptions("registry.test/etl@sha256:" + "a" * 64, "worker", env={"LAKE_URL": "s3://lake/x", "A": "1"}),
    labels={"openpayments.io/unit": "100000000053"},
    marks={"openpayments.io/run-id": "r1"},
    notes={"openpayments.io/plan-sha256": "b" * 64},
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


class AName(unittest.TestCase):
    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=300), st.lists(st.text(max_size=300), max_size=3))
    @example("A" * 300, ["A" * 300])
    @example("Müller, Söhne & Co. 'GmbH'", ["1"])
    @example("-" * 100, [])
    @example("x" * 51 + "-----y", ["x"])
    def test_is_one_for_any_slug(self, slug, identity):
        name = job_name(slug, *identity)

        self.assertLessEqual(len(name), LONGEST_NAME)
        self.assertRegex(name, r"\A[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")

    def test_is_the_same_for_the_same_work(self):
        self.assertEqual(job_name("op-2024-53", "a", "b"), job_name("op-2024-53", "a", "b"))
        self.assertRegex(job_name("op-2024-53", "a", "b"), r"\Aop-2024-53-[0-9a-f]{10}\Z")

    def test_differs_where_two_long_ids_begin_alike(self):
        common = "a pharmaceutical company of a very long name " * 5
        names = {job_name(common + end, common + end) for end in ("east", "west")}

        self.assertEqual(len(names), 2)
        self.assertEqual(len({name[:50] for name in names}), 1)

    def test_is_of_the_identity_and_its_parts_not_of_their_text_run_together(self):
        names = {job_name("s", *words) for words in (("ab", "c"), ("a", "bc"), ("abc",), ("c", "ab"), ())}

        self.assertEqual(len(names), 5)


class ALabel(unittest.TestCase):
    def test_may_be_what_kubernetes_takes(self):
        for text in ("100000000053", "2026-06-30-9323b84e", "a", "A_b.c-d", "x" * 63):
            with self.subTest(text=text):
                self.assertEqual(label_value(text), text)

    def test_is_refused_and_never_cut_to_fit(self):
        for text in ("", "x" * 64, "-a", "a-", "a b", "Müller", "a/b", "a\n", "Johnson & Johnson"):
            with self.subTest(text=text), self.assertRaisesRegex(DataError, "can be no label"):
                label_value(text)

    def test_is_checked_wherever_one_is_written(self):
        for change in ({"labels": {"a": "x y"}}, {"marks": {"a": "x y"}}, {"queue": "x y"}):
            with self.subTest(change=change), self.assertRaises(DataError):
                job_body(changed(A_SPEC, **change))


class TheDigest(unittest.TestCase):
    def changed(self, **change: Any) -> bool:
        return spec_digest(job_body(changed(A_SPEC, **change))) != spec_digest(job_body(A_SPEC))

    def test_is_not_of_what_only_says_for_whom(self):
        for change in (
            {"name": "another"},
            {"args": ("other",)},
            {"labels": {"a": "b"}},
            {"marks": {"openpayments.io/run-id": "r2"}},
            {"notes": {"a": "b"}},
        ):
            with self.subTest(change=change):
                self.assertFalse(self.changed(**change))

    def test_is_of_what_the_job_does(self):
        for change in (
            {"identity": {"release": "2026-06-30-9323b84e", "unit": "100000000054"}},
            {"image": "another"},
            {"image_pull_policy": "Always"},
            {"env": {"LAKE_URL": "s3://lake/y", "A": "1"}},
            {"env_from": ("secret/keys",)},
            {"service_account": "other"},
            {"cpu": "1"},
            {"memory": "1Gi"},
            {"scratch": "3Gi"},
            {"tries": 1},
            {"timeout_hours": 1},
            {"grace_seconds": 61},
            {"keep_seconds": 60},
            {"queue": "main"},
            {"indexes": 2},
        ):
            with self.subTest(change=change):
                self.assertTrue(self.changed(**change))

    def test_does_not_depend_on_the_order_in_which_things_are_said(self):
        self.assertFalse(self.changed(env={"A": "1", "LAKE_URL": "s3://lake/x"}))
        self.assertFalse(self.changed(identity={"unit": "100000000053", "release": "2026-06-30-9323b84e"}))

    def test_stands_in_an_annotation(self):
        body = job_body(A_SPEC)

        self.assertRegex(spec_digest(body), r"\A[0-9a-f]{64}\Z")
        self.assertEqual(body["metadata"]["annotations"], {**A_SPEC.notes, SPEC_DIGEST: spec_digest(body)})


class TheFailurePolicy(unittest.TestCase):
    def test_ends_at_once_exactly_what_running_again_cannot_mend(self):
        for indexed, action in ((False, "FailJob"), (True, "FailIndex")):
            with self.subTest(indexed=indexed):
                _, final = pod_failure_policy(indexed=indexed)["rules"]
                self.assertEqual(final["action"], action)
                self.assertEqual(final["onExitCodes"]["operator"], "In")
                self.assertEqual(final["onExitCodes"]["values"], [one.code for one in EXIT_STATUSES if not one.again])
                self.assertNotIn(0, final["onExitCodes"]["values"])  # Kubernetes refuses it there
                for status in EXIT_STATUSES:
                    self.assertEqual(status.code in final["onExitCodes"]["values"], not status.again, status)

    def test_looks_for_a_disruption_first(self):
        for indexed in (False, True):
            first = pod_failure_policy(indexed=indexed)["rules"][0]
            self.assertEqual(
                first, {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
            )

    def test_is_in_every_job_with_the_restart_and_replacement_it_needs(self):
        for spec in (A_SPEC, INDEXED):
            body = job_body(spec)
            self.assertEqual(body["spec"]["podFailurePolicy"], pod_failure_policy(indexed=spec.indexes is not None))
            self.assertEqual(body["spec"]["podReplacementPolicy"], "Failed")
            self.assertEqual(pod_of(body)["restartPolicy"], "Never")


class ABody(unittest.TestCase):
    def test_of_either_shape_passes_the_strict_schemas(self):
        for indexes, queue, env_from, pull in itertools.product(
            (None, 1, 7), ("", "main"), ((), ("configmap/a", "secret/b")), ("", "IfNotPresent")
        ):
            spec = changed(A_SPEC, indexes=indexes, queue=queue, env_from=env_from, image_pull_policy=pull)
            for version in VERSIONS:
                with self.subTest(indexes=indexes, queue=queue, env_from=env_from, pull=pull, version=version):
                    kubernetes_validate.validate(job_body(spec), version, strict=True)

    def test_would_not_pass_them_with_an_invented_field(self):
        body = job_body(INDEXED)
        body["spec"]["maxFailedIndices"] = 1

        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(body, "1.31", strict=True)

    def test_is_hardened(self):
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

    def test_can_write_in_one_bounded_place(self):
        body = job_body(A_SPEC)

        self.assertEqual(pod_of(body)["volumes"], [{"name": "scratch", "emptyDir": {"sizeLimit": "2Gi"}}])
        self.assertEqual(container_of(body)["volumeMounts"], [{"name": "scratch", "mountPath": "/tmp"}])

    def test_is_bounded_in_tries_time_and_keeping(self):
        body = job_body(changed(A_SPEC, tries=2, timeout_hours=1 / 60, grace_seconds=70, keep_seconds=80))

        self.assertEqual(body["spec"]["backoffLimit"], 2)
        self.assertEqual(body["spec"]["ttlSecondsAfterFinished"], 80)
        self.assertEqual(pod_of(body)["activeDeadlineSeconds"], 60)
        self.assertEqual(pod_of(body)["terminationGracePeriodSeconds"], 70)
        # Of the whole Job, generous: pods that are disrupted for ever use up no tries.
        self.assertEqual(body["spec"]["activeDeadlineSeconds"], 180)

    def test_has_an_index_for_each_pod_that_fails_for_itself(self):
        does = job_body(INDEXED)["spec"]

        self.assertEqual((does["completionMode"], does["completions"], does["parallelism"]), ("Indexed", 7, 7))
        self.assertEqual((does["backoffLimitPerIndex"], does["maxFailedIndexes"]), (3, 7))
        self.assertNotIn("backoffLimit", does)
        self.assertEqual(job_body(changed(INDEXED, max_failed_indexes=2))["spec"]["maxFailedIndexes"], 2)
        plain = {"completionMode", "completions", "parallelism", "backoffLimitPerIndex", "maxFailedIndexes"}
        self.assertFalse(plain & set(job_body(A_SPEC)["spec"]))

    def test_asks_for_all_the_memory_it_may_have_and_for_a_share_of_a_processor(self):
        resources = container_of(job_body(changed(A_SPEC, cpu="250m", memory="1Gi")))["resources"]

        self.assertEqual(resources, {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}})

    def test_is_the_same_text_whatever_the_order_of_its_environment(self):
        one, other = (job_body(changed(A_SPEC, env=env)) for env in ({"B": "2", "A": "1"}, {"A": "1", "B": "2"}))

        self.assertEqual(one, other)
        self.assertEqual(container_of(one)["env"], [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])

    def test_carries_its_labels_on_the_job_and_on_its_pods(self):
        body = job_body(A_SPEC)
        labels = {"openpayments.io/unit": "100000000053", "openpayments.io/run-id": "r1"}

        self.assertEqual(body["metadata"]["labels"], labels)
        self.assertEqual(body["spec"]["template"]["metadata"]["labels"], labels)

    def test_waits_suspended_in_a_queue(self):
        body = job_body(changed(A_SPEC, queue="main"))

        self.assertIs(body["spec"]["suspend"], True)
        self.assertEqual(body["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "main")
        self.assertNotIn("suspend", job_body(A_SPEC)["spec"])
        self.assertNotIn("kueue.x-k8s.io/queue-name", job_body(A_SPEC)["metadata"]["labels"])

    def test_is_left_alone_by_whoever_tidies_nodes(self):
        annotations = job_body(A_SPEC)["spec"]["template"]["metadata"]["annotations"]

        self.assertEqual(annotations, {"karpenter.sh/do-not-disrupt": "true"})

    def test_leaves_out_what_is_not_asked_for(self):
        container = container_of(job_body(A_SPEC))

        self.assertNotIn("envFrom", container)
        self.assertNotIn("imagePullPolicy", container)

    def test_takes_an_environment_from_config_maps_and_secrets(self):
        container = container_of(job_body(changed(A_SPEC, env_from=("configmap/a", "secret/b.c"))))

        self.assertEqual(container["envFrom"], [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b.c"}}])

    def test_refuses_any_other_source_of_one(self):
        for text in ("", "a", "configmap", "configmap/", "/a", "ConfigMap/a", "file/a", "secret/b/c", "secret/A"):
            with (
                self.subTest(text=text),
                self.assertRaisesRegex(UsageError, f"{re.escape(repr(text))} is neither configmap/NAME nor"),
            ):
                job_body(changed(A_SPEC, env_from=(text,)))

    def test_of_a_spec_leaves_the_spec_as_it_is(self):
        first = job_body(A_SPEC)
        container_of(first)["args"].append("more")
        first["metadata"]["labels"]["more"] = "x"

        self.assertEqual(container_of(job_body(A_SPEC))["args"], list(A_SPEC.args))
        self.assertNotIn("more", job_body(A_SPEC)["metadata"]["labels"])
