import contextlib
import io
import json
from typing import Any

from data_pipeline.fan_out.options import FanOutOptions
from data_pipeline.job import Context
from data_pipeline.jobs import fan_out
from etl_core.errors import StoppedError
from etl_core.kube.client import Cluster
from packages.data_pipeline.tests.unit.fakes import a_selection
from packages.data_pipeline.tests.unit.fan_out.test_orchestrate import PER_COMPANY, FanOutCase
from packages.data_pipeline.tests.unit.folder_case import FolderCase
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class ClusterContext(Context):
    """A context whose cluster is in memory."""

    world: Any

    def cluster(self, namespace: str, *, patience_seconds: float = 0.0) -> Cluster:
        found: Cluster = self.world.cluster(namespace)
        return found


class FanOutJob(FanOutCase, FolderCase):
    def setUp(self) -> None:
        FolderCase.setUp(self)
        FanOutCase.setUp(self)
        self.stdout = self.enterContext(contextlib.redirect_stdout(io.StringIO()))
        self.stderr = self.enterContext(contextlib.redirect_stderr(io.StringIO()))

    def run_job(self, *words: str, on_interrupt: str = "ask", interrupted: bool = False) -> int:
        log = self.folder / "log.jsonl"
        log.touch()
        context = ClusterContext("fan_out", self.world.settings, self.world.stop, log)
        context.world = self.world
        for name in ("source", "store", "pipeline", "telemetry", "backoff"):
            setattr(context, name, getattr(self.world, name))
        if interrupted:
            self.world.stop.request()
        return fan_out.fan_out(
            context,
            a_selection(),
            how=FanOutOptions() if "--packed" in words else PER_COMPANY,
            on_interrupt=on_interrupt,
            delete="--cancel" in words,
            print_only="--print" in words,
            totals_from=None,
            trust_count=False,
            dry_run="--dry-run" in words,
        )

    def printed(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stdout.getvalue())
        return found

    def test_prints_one_fact_and_its_text(self):
        self.assertEqual(self.run_job(), 0)

        fact = self.printed()
        self.assertEqual((fact["job"], fact["status"], fact["shape"]), ("fan_out", "completed", "per-company"))
        self.assertIn("slices     2 proved, 0 empty, 0 failed, of 2", self.stderr.getvalue())

    def test_prints_a_table_of_the_ways_in_a_dry_run(self):
        self.assertEqual(self.run_job("--dry-run"), 0)

        self.assertEqual(self.printed()["choice"], "one process")
        self.assertRegex(self.stderr.getvalue(), r"one process +1 +1 .*<-")

    def test_prints_jobs_for_kubectl_and_creates_none(self):
        self.assertEqual(self.run_job("--print"), 0)

        printed = self.printed()
        self.assertEqual((printed["kind"], len(printed["items"]), self.api.requests), ("List", 2, []))

    def test_says_that_nothing_is_left_to_print(self):
        self.fan_out(PER_COMPANY)

        self.assertEqual(self.run_job("--print"), 0)

        self.assertEqual(self.printed()["items"], [])
        self.assertIn("nothing is left to do", self.stderr.getvalue())

    def test_deletes_all_jobs_of_the_year_if_told(self):
        for body in self.bodies(PER_COMPANY):
            self.api.add(body)

        self.assertEqual(self.run_job("--cancel"), 0)

        self.assertEqual((self.printed()["jobs_deleted"], self.api.jobs), (2, {}))
        self.assertIn("2 Jobs were deleted", self.stderr.getvalue())

    def test_interrupted_deletes_its_jobs_only_if_told(self):
        for on_interrupt, left in (("ask", 2), ("detach", 2), ("cancel", 0)):
            with self.subTest(on_interrupt=on_interrupt):
                FanOutCase.setUp(self)
                for body in self.bodies(PER_COMPANY):
                    self.api.add(body)
                with self.assertRaises(StoppedError):
                    self.run_job(on_interrupt=on_interrupt, interrupted=True)
                self.assertEqual(len(self.api.jobs), left)
                said = "the Jobs continue; the same command attaches" if left else "2 Jobs were deleted"
                self.assertIn(said, self.stderr.getvalue())


class TheCommandLine(CommandCase):
    def test_is_refused_before_anything_is_asked_if_it_makes_no_sense(self):
        for words, said in [
            ((), "name either --year or --years."),
            (("--year", "2024", "--years", "2023"), "name either --year or --years."),
            (("--years", "2024-2020"), "neither"),
            (("--years", "2019-"), "neither"),
            (("--years", "1-99999999999"), "neither"),
            (("--years", "x"), "'x' is neither 2021,2023 nor 2018-2024."),
            (("--years", "2018-2020-2022"), "neither"),
            (("--years", "2023,2024", "--run-id", "r1"), "--run-id names one run"),
            (("--year", "2024", "--env", "A"), "'A' is not KEY=VALUE."),
            (("--year", "2024", "--env", "a/b=1"), "'a/b=1' is not KEY=VALUE."),
            (("--year", "2024", "--pod-label", "a b=1"), "'a b=1' is not KEY=VALUE."),
            (("--year", "2024", "--pod-annotation", "=1"), "'=1' is not KEY=VALUE."),
            (("--year", "2024", "--shape", "round"), "--shape"),
            (("--year", "2024", "--image-pull-policy", ""), "--image-pull-policy"),
            (("--year", "2024", "--max-failure-ratio", "2"), "--max-failure-ratio"),
            (("--year", "2024", "--max-failure-ratio", "nan"), "'nan' is not a finite number."),
            (("--year", "2024", "--timeout-hours", "nan"), "--timeout-hours"),
            (("--year", "2024", "--timeout-hours", "0"), "--timeout-hours"),
            (("--year", "2024", "--poll-interval", "-1"), "--poll-interval"),
            (("--year", "2024", "--pending-timeout", "inf"), "--pending-timeout"),
            (("--year", "2024", "--pods", "0"), "--pods"),
        ]:
            with self.subTest(words=words):
                status, fact, err = self.run_job("fan_out", *words)
                self.assertEqual((status, fact), (2, {}))
                self.assertIn(said, err)
        self.assertEqual(self.files(), {})

    def test_takes_labels_and_annotations_of_pods_with_a_prefix(self):
        words = ["--year", "2024", "--pod-label", "sidecar.istio.io/inject=false", "--pod-annotation", "a=b=c"]

        pod = fan_out.command.make_context("x", words).params
        self.assertEqual(pod["pod_label"], {"sidecar.istio.io/inject": "false"})
        self.assertEqual(pod["pod_annotation"], {"a": "b=c"})

    def test_shows_what_every_job_shows(self):
        given = fan_out.command.make_context("x", ["--year", "2024", "--json", "-q"]).params

        self.assertEqual((given["is_json"], given["log_level"]), (True, "error"))

    def test_takes_years_in_ranges_and_lists_each_once(self):
        given = fan_out.command.make_context("x", ["--years", "2021,2018-2020,2019"])

        self.assertEqual(given.params["years"], (2021, 2018, 2019, 2020))
