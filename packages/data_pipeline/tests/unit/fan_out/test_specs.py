import re
import unittest
from dataclasses import replace
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]

from data_pipeline.fan_out import specs
from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.fan_out.specs import body_of, labels_of, selector_of, units_in, worker_env
from data_pipeline.settings import Settings
from etl_core.kube.describe import LONGEST_NAME, digest_annotation
from packages.data_pipeline.tests.unit.fakes import a_release
from packages.data_pipeline.tests.unit.fan_out.fakes import LAKE_ID, OPTIONS, A, B, C, a_fan_out, a_unit

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


class Bodies(unittest.TestCase):
    def test_there_is_one_job_per_company_biggest_first_or_one_packed_job(self):
        self.assertEqual(units_in(SEVERAL, DIGEST), (A, B, C))
        self.assertEqual(units_in(PACKED, DIGEST), ("packed-dddddddddddd",))

    def test_bodies_pass_the_strict_schemas_of_kubernetes(self):
        for version in ("1.31", "1.33", "1.37"):
            for one in (body(), body(PACKED, 0, 3, queue="main", env_from=("secret/keys",))):
                kubernetes_validate.validate(one, version, strict=True)

    def test_workers_get_a_reference_to_the_plan_never_its_content(self):
        common = ["run", "fan_out_worker", "--", "--plan", "r1", "--shape"]

        self.assertEqual(
            container(body(number=1))["args"], [*common, "per-company", "--digest", DIGEST, "--index", "1"]
        )
        # The pods of an Indexed Job have their index from Kubernetes.
        self.assertEqual(container(body(PACKED))["args"], [*common, "packed", "--digest", DIGEST])

    def test_each_pod_gets_its_share_of_the_streams_whatever_env_says(self):
        said = {"SOURCE_MAX_STREAMS": "99", "LOG_FORMAT": "console", "A": "1"}

        own = {"SOURCE_MAX_STREAMS": "1", "HEARTBEAT_FILE": "/tmp/heartbeat"}
        self.assertEqual(environment(body(env=said)), {**said, **own})
        self.assertEqual(environment(body(PACKED))["SOURCE_MAX_STREAMS"], "4")
        self.assertEqual(environment(body())["LOG_FORMAT"], "json")

    def test_a_packed_job_has_one_index_per_bin(self):
        self.assertEqual(body(PACKED)["spec"]["completions"], 2)
        self.assertNotIn("completions", body()["spec"])

    def test_pod_options_reach_the_body(self):
        made = body(
            cpu="2", memory="1Gi", timeout_hours=0.5, retries=1, service_account="other", image="i",
            image_pull_policy="Never", env_from=("configmap/a",),
        )  # fmt: skip
        pod = made["spec"]["template"]["spec"]

        self.assertEqual(container(made)["resources"]["requests"], {"cpu": "2", "memory": "1Gi"})
        self.assertEqual((pod["activeDeadlineSeconds"], pod["serviceAccountName"]), (1800, "other"))
        self.assertEqual(made["spec"]["backoffLimit"], 1)
        self.assertEqual((container(made)["image"], container(made)["imagePullPolicy"]), ("i", "Never"))
        self.assertEqual(container(made)["envFrom"], [{"configMapRef": {"name": "a"}}])

    def test_pods_are_killed_only_after_the_grace_period_of_their_windows(self):
        for grace, seconds in [
            (None, 60), ("25.0", 60), ("30", 60), ("31", 61), ("120.5", 151), ("soon", 60), ("inf", 60), ("nan", 60),
        ]:  # fmt: skip
            with self.subTest(grace=grace):
                made = body(env={} if grace is None else {"GRACE_SECONDS": grace})
                self.assertEqual(made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], seconds)


class Names(unittest.TestCase):
    def test_a_name_follows_from_the_work(self):
        self.assertEqual(name(), name())
        self.assertRegex(name(), rf"\Aop-2024-{A}-[0-9a-f]{{10}}\Z")
        self.assertRegex(name(PACKED), r"\Aop-2024-packed-[0-9a-f]{10}\Z")

    def test_the_same_work_has_the_same_name_in_every_run_and_plan(self):
        other = a_fan_out((a_unit(C),), (a_unit(A),), run_id="r2")

        self.assertEqual(name(other, 1), name())
        self.assertEqual(
            body_of(other, "e" * 64, 1, 1, OPTIONS)["metadata"]["name"], name(), "the digest is that of a plan"
        )
        self.assertEqual(digest_annotation(body(other, 1)), digest_annotation(body()))

    def test_other_work_has_another_name(self):
        newer = a_fan_out(release=a_release(distribution_id="0" * 8, modified="2027-01-01"))
        names = [
            name(),
            name(number=1),
            name(attempt=2),
            name(attempt=3),
            name(image="other"),
            name(memory="1Gi"),
            name(cpu="1"),
            name(a_fan_out(lake_id="f" * 12)),
            name(env={"LAKE_URL": "s3://lake", "LOG_LEVEL": "debug"}),
            name(env_from=("secret/keys",)),
            name(queue="main"),
            name(newer),
            name(PACKED),
            body_of(PACKED, "e" * 64, 0, 1, OPTIONS)["metadata"]["name"],
        ]

        self.assertEqual(len(set(names)), len(names))

    def test_one_lake_under_two_addresses_is_the_same_work(self):
        here, there = (body(env={"A": "1", "LAKE_URL": url}) for url in ("s3://lake", "file:///mnt/lake"))

        self.assertEqual(here["metadata"]["name"], there["metadata"]["name"])
        self.assertEqual(digest_annotation(here), digest_annotation(there))
        self.assertEqual(environment(there)["LAKE_URL"], "file:///mnt/lake")

    def test_the_longest_company_id_fits_into_a_name(self):
        unit = "9" * 38
        made = body(a_fan_out((a_unit(unit),)))

        self.assertLessEqual(len(made["metadata"]["name"]), LONGEST_NAME)
        kubernetes_validate.validate(made, "1.31", strict=True)


class Labels(unittest.TestCase):
    def test_labels_select_all_jobs_of_a_release_and_shape(self):
        selector = selector_of(labels_of(LAKE_ID, a_release(), "per-company"))

        wanted = dict(one.split("=") for one in selector.split(","))
        self.assertEqual(wanted, labels_of(LAKE_ID, a_release(), "per-company"))
        self.assertEqual(wanted["openpayments.io/release"], "2026-06-30-9323b84e")
        self.assertEqual(wanted["openpayments.io/lake"], LAKE_ID)
        self.assertNotEqual(wanted, labels_of("f" * 12, a_release(), "per-company"))
        for run_id in ("r1", "another"):
            labels = body(a_fan_out(run_id=run_id))["metadata"]["labels"]
            self.assertEqual(wanted.items() & labels.items(), wanted.items())
        self.assertNotEqual(wanted, labels_of(LAKE_ID, a_release(), "packed"))

    def test_labels_hold_the_unit_and_the_attempt(self):
        labels = body(attempt=4)["metadata"]["labels"]

        self.assertEqual((labels[specs.UNIT], labels[specs.ATTEMPT]), (A, "4"))
        self.assertEqual(body(PACKED)["metadata"]["labels"][specs.UNIT], "packed-dddddddddddd")

    def test_a_label_holds_the_run_id_or_its_hash(self):
        for run_id, kept in [("r1", True), ("x" * 63, True), ("x" * 64, False), ("r1.", False), ("2026_07-", False)]:
            with self.subTest(run_id=run_id):
                meta = body(a_fan_out(run_id=run_id))["metadata"]
                label = meta["labels"]["openpayments.io/run-id"]
                self.assertEqual(label == run_id, kept)
                self.assertTrue(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", label))
                self.assertEqual(meta["annotations"]["openpayments.io/run-id"], run_id)
                self.assertEqual(meta["annotations"]["openpayments.io/plan-sha256"], DIGEST)


class WorkerEnv(unittest.TestCase):
    def test_workers_get_the_shared_settings_and_the_address_of_the_lake(self):
        settings = Settings(open_payments_url="http://127.0.0.1:1", lake_url="./data", source_max_streams=3, run_id="r")

        found = worker_env(settings, "file:///srv/data")

        self.assertEqual((found["OPEN_PAYMENTS_URL"], found["LAKE_URL"]), ("http://127.0.0.1:1", "file:///srv/data"))
        self.assertFalse({"RUN_ID", "SOURCE_MAX_STREAMS", "LOG_FORMAT"} & set(found))

    def test_a_worker_reads_the_same_settings_back(self):
        settings = Settings(source_timeout_seconds=1.5, source_attempts=2, log_level="debug", grace_seconds=3.0)

        self.assertEqual(
            Settings.from_mapping(worker_env(settings, "s3://lake")),
            settings.model_copy(update={"lake_url": "s3://lake"}),
        )
