import re
import unittest
from dataclasses import replace
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]

from data_pipeline.fan_out import specs
from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.fan_out.specs import body_of, handed_on, labels_of, pairs, selector_of, units_in
from data_pipeline.settings import Settings
from etl_core.errors import UsageError
from etl_core.kube.describe import LONGEST_NAME, digest_annotation
from packages.data_pipeline.tests.unit.fakes import a_release
from packages.data_pipeline.tests.unit.fan_out.to_hand import OPTIONS, A, B, C, a_fan_out, a_unit

DIGEST = "d" * 64
SEVERAL = a_fan_out()
PACKED = a_fan_out((a_unit(A), a_unit(C)), (a_unit(B),), shape="packed", streams=(4, 3))


def body(plan: FanOutPlan = SEVERAL, number: int = 0, attempt: int = 1, **options: Any) -> dict[str, Any]:
    return body_of(plan, DIGEST, number, attempt, replace(OPTIONS, **options))


def name(*words: Any, **options: Any) -> str:
    return str(body(*words, **options)["metadata"]["name"])


def container(of: dict[str, Any]) -> dict[str, Any]:
    (found,) = of["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def environment(of: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container(of)["env"]}


class TheJobs(unittest.TestCase):
    def test_are_one_a_company_biggest_first_or_one_in_all(self):
        self.assertEqual(units_in(SEVERAL, DIGEST), (A, B, C))
        self.assertEqual(units_in(PACKED, DIGEST), ("packed-dddddddddddd",))

    def test_pass_the_strict_schemas(self):
        for version in ("1.31", "1.33", "1.37"):
            for one in (body(), body(PACKED, 0, 3, queue="main", env_from=("secret/keys",))):
                kubernetes_validate.validate(one, version, strict=True)

    def test_are_told_where_their_plan_lies_and_never_what_is_in_it(self):
        common = ["run", "fan_out_worker", "--", "--plan", "r1", "--shape"]

        self.assertEqual(
            container(body(number=1))["args"], [*common, "per-company", "--digest", DIGEST, "--index", "1"]
        )
        # The pods of an Indexed Job have their index from Kubernetes.
        self.assertEqual(container(body(PACKED))["args"], [*common, "packed", "--digest", DIGEST])

    def test_have_their_share_of_the_streams_whatever_the_submitter_said(self):
        said = {"SOURCE_MAX_STREAMS": "99", "LOG_FORMAT": "console", "A": "1"}

        self.assertEqual(environment(body(env=said)), {"SOURCE_MAX_STREAMS": "1", "LOG_FORMAT": "console", "A": "1"})
        self.assertEqual(environment(body(PACKED))["SOURCE_MAX_STREAMS"], "4")
        self.assertEqual(environment(body())["LOG_FORMAT"], "json")

    def test_have_as_many_indexes_as_bins_if_packed(self):
        self.assertEqual(body(PACKED)["spec"]["completions"], 2)
        self.assertNotIn("completions", body()["spec"])

    def test_have_what_was_asked_for(self):
        made = body(
            cpu="2", memory="1Gi", try_hours=0.5, tries=1, service_account="other", image="i",
            image_pull_policy="Never", env_from=("configmap/a",),
        )  # fmt: skip
        pod = made["spec"]["template"]["spec"]

        self.assertEqual(container(made)["resources"]["requests"], {"cpu": "2", "memory": "1Gi"})
        self.assertEqual((pod["activeDeadlineSeconds"], pod["serviceAccountName"]), (1800, "other"))
        self.assertEqual(made["spec"]["backoffLimit"], 1)
        self.assertEqual((container(made)["image"], container(made)["imagePullPolicy"]), ("i", "Never"))
        self.assertEqual(container(made)["envFrom"], [{"configMapRef": {"name": "a"}}])

    def test_are_killed_only_after_the_grace_their_windows_get(self):
        for grace, seconds in [
            (None, 60), ("25.0", 60), ("30", 60), ("31", 61), ("120.5", 151), ("soon", 60), ("inf", 60), ("nan", 60),
        ]:  # fmt: skip
            with self.subTest(grace=grace):
                made = body(env={} if grace is None else {"GRACE_SECONDS": grace})
                self.assertEqual(made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], seconds)


class TheirNames(unittest.TestCase):
    def test_follow_from_what_they_do(self):
        self.assertEqual(name(), name())
        self.assertRegex(name(), rf"\Aop-2024-{A}-[0-9a-f]{{10}}\Z")
        self.assertRegex(name(PACKED), r"\Aop-2024-packed-[0-9a-f]{10}\Z")

    def test_are_the_same_for_every_run_and_plan_of_the_same_work(self):
        other = a_fan_out((a_unit(C),), (a_unit(A),), run_id="r2")

        self.assertEqual(name(other, 1), name())
        self.assertEqual(
            body_of(other, "e" * 64, 1, 1, OPTIONS)["metadata"]["name"], name(), "the digest is that of a plan"
        )
        self.assertEqual(digest_annotation(body(other, 1)), digest_annotation(body()))

    def test_differ_where_they_do_something_else(self):
        newer = a_fan_out(release=a_release(distribution_id="0" * 8, modified="2027-01-01"))
        names = [
            name(),
            name(number=1),
            name(attempt=2),
            name(attempt=3),
            name(image="other"),
            name(memory="1Gi"),
            name(cpu="1"),
            name(env={"LAKE_URL": "s3://other"}),
            name(env_from=("secret/keys",)),
            name(queue="main"),
            name(newer),
            name(PACKED),
            body_of(PACKED, "e" * 64, 0, 1, OPTIONS)["metadata"]["name"],
        ]

        self.assertEqual(len(set(names)), len(names))

    def test_fit_the_longest_company_id(self):
        unit = "9" * 38
        made = body(a_fan_out((a_unit(unit),)))

        self.assertLessEqual(len(made["metadata"]["name"]), LONGEST_NAME)
        kubernetes_validate.validate(made, "1.31", strict=True)


class TheirLabels(unittest.TestCase):
    def test_find_all_jobs_of_a_release_and_shape(self):
        selector = selector_of(labels_of(a_release(), "per-company"))

        wanted = dict(one.split("=") for one in selector.split(","))
        self.assertEqual(wanted, labels_of(a_release(), "per-company"))
        self.assertEqual(wanted["openpayments.io/release"], "2026-06-30-9323b84e")
        for run_id in ("r1", "another"):
            labels = body(a_fan_out(run_id=run_id))["metadata"]["labels"]
            self.assertEqual(wanted.items() & labels.items(), wanted.items())
        self.assertNotEqual(wanted, labels_of(a_release(), "packed"))

    def test_say_which_unit_and_which_attempt(self):
        labels = body(attempt=4)["metadata"]["labels"]

        self.assertEqual((labels[specs.UNIT], labels[specs.ATTEMPT]), (A, "4"))
        self.assertEqual(body(PACKED)["metadata"]["labels"][specs.UNIT], "packed-dddddddddddd")

    def test_hold_any_run_id_or_stand_for_it(self):
        for run_id, kept in [("r1", True), ("x" * 63, True), ("x" * 64, False), ("r1.", False), ("2026_07-", False)]:
            with self.subTest(run_id=run_id):
                meta = body(a_fan_out(run_id=run_id))["metadata"]
                label = meta["labels"]["openpayments.io/run-id"]
                self.assertEqual(label == run_id, kept)
                self.assertTrue(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", label))
                self.assertEqual(meta["annotations"]["openpayments.io/run-id"], run_id)
                self.assertEqual(meta["annotations"]["openpayments.io/plan-sha256"], DIGEST)


class WhatIsHandedOn(unittest.TestCase):
    def test_is_what_workers_need_alike_and_where_the_lake_is(self):
        settings = Settings(open_payments_url="http://127.0.0.1:1", lake_url="./data", source_max_streams=3, run_id="r")

        found = handed_on(settings, "file:///srv/data")

        self.assertEqual((found["OPEN_PAYMENTS_URL"], found["LAKE_URL"]), ("http://127.0.0.1:1", "file:///srv/data"))
        self.assertFalse({"RUN_ID", "SOURCE_MAX_STREAMS", "LOG_FORMAT"} & set(found))

    def test_is_read_back_as_it_was(self):
        settings = Settings(source_timeout_seconds=1.5, source_attempts=2, log_level="debug", grace_seconds=3.0)

        self.assertEqual(
            Settings.from_mapping(handed_on(settings, "s3://lake")),
            settings.model_copy(update={"lake_url": "s3://lake"}),
        )


class Pairs(unittest.TestCase):
    def test_are_split_at_the_first_sign(self):
        self.assertEqual(pairs(("A=1", "B=x=y", "C=")), {"A": "1", "B": "x=y", "C": ""})
        self.assertEqual(pairs(()), {})

    def test_are_refused_otherwise(self):
        for text in ("A", "=1", "", "=", "A B=1", "1A=2", "Ü=1", "A\n=1"):
            with (
                self.subTest(text=text),
                self.assertRaisesRegex(UsageError, f"{re.escape(repr(text))} is not KEY=VALUE"),
            ):
                pairs(("OK=1", text))
