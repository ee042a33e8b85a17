"""What is refused in a Job, and with which words."""

from __future__ import annotations

import copy
import re
from typing import Any
from unittest import TestCase

from sandbox.cluster.defaults import fill_in
from sandbox.cluster.validation import causes


def job(name="a", pod=None, container=None, **spec):
    container = {"name": "main", "image": "etl:1", **(container or {})}
    pod = {"restartPolicy": "Never", "containers": [container], **(pod or {})}
    return {"metadata": {"name": name}, "spec": {"template": {"spec": pod}, **spec}}


def policy(**rule):
    return {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}, **rule}]}


def exit_codes(*values, operator="In", **more):
    return {"operator": operator, "values": list(values), **more}


INDEXED = {"completionMode": "Indexed", "completions": 10}
NONE = {"onExitCodes": None}


class CausesTest(TestCase):
    def found(self, body):
        body = copy.deepcopy(body)
        fill_in(body, "etl")
        return [f"{field}: {text}" for field, text in causes(body)]

    def test_good_jobs_pass(self):
        for body in (
            job(),
            job("a.b-3", pod={"restartPolicy": "OnFailure"}),
            job("n" * 63),
            job(podFailurePolicy=policy()),
            job(podFailurePolicy=policy(onExitCodes=None, onPodConditions=[{"type": "DisruptionTarget"}])),
            job(**INDEXED, backoffLimitPerIndex=1, maxFailedIndexes=10, podFailurePolicy=policy(action="FailIndex")),
            job(podFailurePolicy=policy(onExitCodes=exit_codes(0, 2, operator="NotIn", containerName="main"))),
            job(pod={"volumes": [{"name": "v"}]}, container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
        ):
            with self.subTest(body=body):
                self.assertEqual(self.found(body), [])

    def test_bad_ones_are_told_what_is_wrong(self):
        cases = [
            (job("n" * 64), "must be no more than 63 characters"),
            (job("A_b"), "metadata.name: Invalid value: .A_b.: a lowercase RFC 1123 subdomain"),
            (job("n" * 62, **INDEXED), "will not able to create pod with invalid DNS label"),
            (job(parallelism=-1), "spec.parallelism: Invalid value: -1"),
            (job(ttlSecondsAfterFinished=-1), "spec.ttlSecondsAfterFinished"),
            (job(selector={"matchLabels": {"a": "b"}}), "spec.selector: .*`selector` not auto-generated"),
            (job(completionMode="Indexed", parallelism=2), "spec.completions: Required value"),
            (job(completionMode="Some"), "spec.completionMode: Unsupported value"),
            (job(**INDEXED, parallelism=100_001), "spec.parallelism: .*100000"),
            (job(backoffLimitPerIndex=1), "requires indexed completion mode"),
            (
                job(**INDEXED, backoffLimitPerIndex=1, pod={"restartPolicy": "OnFailure"}),
                "when backoffLimitPerIndex is specified",
            ),
            (job(**INDEXED, maxFailedIndexes=1), "spec.backoffLimitPerIndex: Required value"),
            (job(**INDEXED, backoffLimitPerIndex=1, maxFailedIndexes=11), "less than or equal to completions"),
            (job(podReplacementPolicy="TerminatingOrFailed", podFailurePolicy=policy()), "values: .Failed.$"),
            (job(pod={"restartPolicy": None}), 'Unsupported value: "Always": supported values: "OnFailure", "Never"'),
            (job(pod={"activeDeadlineSeconds": 0}), "activeDeadlineSeconds"),
            (job(pod={"containers": []}), "containers: Required value"),
            (job(pod={"initContainers": [{"name": "i"}]}), "is not Kubernetes"),
            (
                job(pod={"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}),
                "not in this stand-in",
            ),
            (job(container={"env": [{"name": "a", "valueFrom": {"resourceFieldRef": {}}}]}), "not in this stand-in"),
            (job(**INDEXED, successPolicy={"rules": []}), "spec.successPolicy: Forbidden"),
            (job(container={"name": "Main"}), r"containers\[0\].name"),
            (job(container={"image": ""}), r"containers\[0\].image: Required value"),
            (job(container={"terminationMessagePolicy": "Log"}), "terminationMessagePolicy: Unsupported"),
            (job(container={"env": [{"value": "x"}]}), r"env\[0\].name: Required"),
            (
                job(container={"env": [{"name": "a", "value": "x", "valueFrom": {"fieldRef": {}}}]}),
                "may not be specified when",
            ),
            (job(container={"volumeMounts": [{"name": "v"}]}), 'Not found: "v"'),
            (job(pod={"restartPolicy": "OnFailure"}, podFailurePolicy=policy()), "when podFailurePolicy is specified"),
            (job(podFailurePolicy={"rules": policy()["rules"] * 21}), "must have at most 20 items"),
            (job(podFailurePolicy=policy(action="Retry")), "action: Unsupported value"),
            (job(podFailurePolicy=policy(action=None)), "action: Required value"),
            (job(podFailurePolicy=policy(action="FailIndex")), "requires the backoffLimitPerIndex to be set"),
            (job(podFailurePolicy=policy(onPodConditions=[{"type": "T"}])), "specifying one of"),
            (job(podFailurePolicy=policy(onExitCodes=None)), "specifying one of"),
            (job(podFailurePolicy=policy(onExitCodes=exit_codes())), "at least one"),
            (job(podFailurePolicy=policy(onExitCodes=exit_codes(3, 2))), "must be ordered"),
            (job(podFailurePolicy=policy(onExitCodes=exit_codes(0, 2))), "must not be 0 for the In operator"),
            (job(podFailurePolicy=policy(onExitCodes=exit_codes(2, operator="Is"))), "operator: Unsupported"),
            (job(podFailurePolicy=policy(onExitCodes=exit_codes(2, containerName="x"))), "one of the container names"),
            (job(podFailurePolicy=policy(**NONE, onPodConditions=[{"status": "True"}])), "type: Required"),
            (job(podFailurePolicy=policy(**NONE, onPodConditions=[{"type": "T", "status": "No"}])), "status: Unsupp"),
        ]
        for body, pattern in cases:
            with self.subTest(pattern=pattern):
                found = self.found(body)
                self.assertEqual(len(set(found)), 1, found)
                self.assertRegex(found[0], re.compile(pattern))

    def test_labels_and_annotations_have_limits(self):
        cases: list[tuple[dict[str, Any], str]] = [
            ({"labels": {"a": "x" * 64}}, "metadata.labels"),
            ({"labels": {"a": "Company & Sons"}}, "metadata.labels"),
            ({"labels": {"-a": "x"}}, "metadata.labels"),
            ({"annotations": {"a": "x" * 262_144}}, "metadata.annotations"),
        ]
        for meta, field in cases:
            body = job()
            body["metadata"] |= meta
            with self.subTest(field=field):
                (found,) = self.found(body)
                self.assertTrue(found.startswith(field))


class FillInTest(TestCase):
    def test_what_is_left_out_gets_the_defaults_of_the_version(self):
        cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (job(), {"parallelism": 1, "completions": 1, "backoffLimit": 6, "suspend": False}),
            (job(parallelism=2), {"completions": None, "podReplacementPolicy": "TerminatingOrFailed"}),
            (job(podFailurePolicy=policy()), {"podReplacementPolicy": "Failed"}),
            (job(**INDEXED, backoffLimitPerIndex=1), {"backoffLimit": 2**31 - 1}),
        ]
        for body, expected in cases:
            fill_in(body, "etl")
            with self.subTest(expected=expected):
                self.assertEqual({key: body["spec"].get(key) for key in expected}, expected)

    def test_an_image_is_pulled_always_if_its_tag_may_move(self):
        for image, expected in (
            ("etl", "Always"),
            ("host:5000/etl", "Always"),
            ("etl:latest", "Always"),
            ("etl:1", "IfNotPresent"),
            ("etl@sha256:00", "IfNotPresent"),
        ):
            body = job(container={"image": image})
            fill_in(body, "etl")
            with self.subTest(image=image):
                pod = body["spec"]["template"]["spec"]
                self.assertEqual(pod["containers"][0]["imagePullPolicy"], expected)
