"""Texts of indexes, and which rule a failed pod meets."""

from __future__ import annotations

from unittest import TestCase

from sandbox.cluster.policy import index_text, matched


class IndexTextTest(TestCase):
    def test_runs_of_three_and_more_are_shortened(self):
        cases = [
            ([], ""),
            ([0], "0"),
            ([1, 0], "0,1"),
            ([0, 1, 2, 3, 7], "0-3,7"),
            ([1, 3, 4, 5, 7, 8, 10], "1,3-5,7,8,10"),
        ]
        for indexes, text in cases:
            with self.subTest(text=text):
                self.assertEqual(index_text(indexes), text)


def pod(code=None, *conditions):
    state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
    return {
        "metadata": {"name": "p", "namespace": "etl"},
        "status": {
            "containerStatuses": [{"name": "main", "state": state}],
            "conditions": [{"type": kind, "status": holds} for kind, holds in conditions],
        },
    }


def codes(operator, *values, name=None):
    told = {"operator": operator, "values": list(values), "containerName": name}
    return {"action": "FailJob", "onExitCodes": told}


class MatchedTest(TestCase):
    def action(self, found, *rules):
        rule = matched({"rules": list(rules)}, found)
        return rule.action if rule else None

    def test_rules_look_at_exit_statuses_other_than_zero(self):
        for rule, code, expected in (
            (codes("In", 2, 3), 3, "FailJob"),
            (codes("In", 2, 3), 4, None),
            (codes("NotIn", 2), 3, "FailJob"),
            (codes("NotIn", 2), 2, None),
            (codes("NotIn", 2), 0, None),
            (codes("NotIn", 2), None, None),
            (codes("In", 3, name="main"), 3, "FailJob"),
            (codes("In", 3, name="other"), 3, None),
        ):
            with self.subTest(rule=rule, code=code):
                self.assertEqual(self.action(pod(code), rule), expected)

    def test_rules_look_at_conditions_with_their_status(self):
        rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
        for holds, expected in (("True", "Ignore"), ("False", None)):
            self.assertEqual(self.action(pod(137, ("DisruptionTarget", holds)), rule), expected)

    def test_the_first_that_fits_wins_and_says_why(self):
        ignore = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
        found = pod(3, ("DisruptionTarget", "True"))
        self.assertEqual(self.action(found, ignore, codes("In", 3)), "Ignore")
        rule = matched({"rules": [codes("In", 3), ignore]}, found)
        message = "Container main for pod etl/p failed with exit code 3 matching FailJob rule at index 0"
        self.assertEqual(rule and rule.message, message)

    def test_without_a_policy_nothing_fits(self):
        self.assertIsNone(matched(None, pod(3)))
