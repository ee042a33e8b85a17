"""What is refused in a Job, and what is filled in."""

from __future__ import annotations

import copy
import re
from unittest import TestCase

from sandbox.cluster.admission import causes, fill_in, unknown


def job(name="a", pod=None, container=None, labels=None, **spec):
    container = {"name": "main", "image": "etl:1", **(container or {})}
    pod = {"restartPolicy": "Never", "containers": [container], **(pod or {})}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"template": {"spec": pod}, **spec}}


def policy(**rule):
    return {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}, **rule}]}


def codes(*values, operator="In"):
    return {"onExitCodes": {"operator": operator, "values": list(values)}}


INDEXED = {"completionMode": "Indexed", "completions": 10}
DISRUPTED = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}


class CausesTest(TestCase):
    def found(self, body):
        body = copy.deepcopy(body)
        fill_in(body, "etl")
        return causes(body)

    def test_good_jobs_pass(self):
        for body in (
            job(),
            job("a.b-3", labels={"of": "", "run": "R_1"}),
            job("n" * 63),
            job(podFailurePolicy=policy(**codes(0, 2, operator="NotIn"))),
            job(podFailurePolicy=DISRUPTED),
            job(**INDEXED, backoffLimitPerIndex=1, maxFailedIndexes=10, podFailurePolicy=policy(action="FailIndex")),
        ):
            with self.subTest(body=body):
                self.assertEqual([*unknown(body), *self.found(body)], [])

    def test_bad_ones_are_told_what_is_wrong(self):
        cases = [
            (job("A_b"), "metadata.name: Invalid value"),
            (job("n" * 62, **INDEXED), "invalid DNS label of a pod"),
            (job(labels={"a": "x" * 64}), "metadata.labels: Invalid value"),
            (job(labels={"a": "Company & Sons"}), "metadata.labels: Invalid value"),
            (job(completionMode="Indexed", parallelism=2), "spec.completions: Required value"),
            (job(backoffLimitPerIndex=1), "requires indexed completion mode"),
            (job(**INDEXED, maxFailedIndexes=1), "spec.backoffLimitPerIndex: Required value"),
            (job(**INDEXED, backoffLimitPerIndex=1, maxFailedIndexes=11), "maxFailedIndexes: .*more than completions"),
            (job(podReplacementPolicy="TerminatingOrFailed"), 'only "Failed"'),
            (job(pod={"restartPolicy": "OnFailure"}), 'only "Never"'),
            (job(pod={"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}), "wants one"),
            (job(podFailurePolicy=policy(action="Retry")), r"rules\[0\].action: Unsupported value"),
            (job(podFailurePolicy=policy(action="FailIndex")), r"rules\[0\].action: Unsupported value"),
            (job(podFailurePolicy=policy(**codes(3, 2))), "must be ordered"),
            (job(podFailurePolicy=policy(**codes(0, 2))), "not with operator In"),
        ]
        for body, pattern in cases:
            with self.subTest(pattern=pattern):
                (found,) = self.found(body)
                self.assertRegex(found, re.compile(pattern))


class FillInTest(TestCase):
    def test_what_is_left_out_gets_the_defaults_of_the_version(self):
        for body, expected in (
            (job(), {"parallelism": 1, "completions": 1, "backoffLimit": 6, "suspend": False}),
            (job(completions=3), {"parallelism": 1, "completions": 3}),
            (job(**INDEXED, backoffLimitPerIndex=1), {"backoffLimit": 2**31 - 1, "completionMode": "Indexed"}),
        ):
            fill_in(body, "etl")
            with self.subTest(expected=expected):
                self.assertEqual({key: body["spec"].get(key) for key in expected}, expected)
