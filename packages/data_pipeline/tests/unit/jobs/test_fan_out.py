import json
from collections.abc import Callable
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]

from data_pipeline import lake_layout
from data_pipeline.fan_out.plans import read_plan
from data_pipeline.fan_out.shared_backoff import Notice
from data_pipeline.fan_out.worker import Worker
from data_pipeline.job import Context
from data_pipeline.jobs import _fan_out, fan_out
from data_pipeline.open_payments.ledger import plans, schemas
from data_pipeline.open_payments.ledger.audits import Audits
from data_pipeline.settings import Settings
from etl_core.errors import BlockedError, ConflictError, StoppedError, UsageError
from etl_core.kube.client import Cluster
from etl_core.stop import Stop
from packages.data_pipeline.tests.unit.fakes import COMPANY, OTHER, START, a_selection, says
from packages.data_pipeline.tests.unit.fan_out.api import MemoryApi
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase
from packages.data_pipeline.tests.unit.jobs.test_running import OF_EVERY_FACT, JobCase

PER_COMPANY = ("--shape", "per-company")
PACKED = ("--shape", "packed", "--pods", "2")
CREATED = "POST jobs"


class SteppingStop(Stop):
    """A sleep in which the cluster gets on by one step, and no time goes by."""

    def __init__(self, step: Callable[[], None]) -> None:
        super().__init__()
        self.step = step

    def sleep(self, seconds: float) -> None:
        self.check()
        self.step()


class ClusterContext(Context):
    api: MemoryApi

    def cluster(self, namespace: str, *, patience_seconds: float = 0.0) -> Cluster:
        return self.api.cluster(self.stop.sleep)


class FanOutCase(JobCase):
    """A site, a lake, and a cluster whose pods do what the worker does."""

    def setUp(self) -> None:
        super().setUp()
        self.api = MemoryApi(self.work)
        self.stop = SteppingStop(self.api.step)
        self.streams = 8

    def context(self, run_id: str = "") -> Context:
        log = self.folder / "log.jsonl"
        log.touch()
        settings = Settings(run_id=run_id, source_max_streams=self.streams)
        context = ClusterContext("fan_out", settings, self.stop, log)
        context.api = self.api
        context.source = self.world.source
        context.store = self.world.store
        context.pipeline = self.world.pipeline
        context.telemetry = self.world.telemetry
        context.progress = self.world.progress
        return context

    def fan_out(self, *words: str, run_id: str = "", **selection: Any) -> int:
        given = fan_out.command.make_context("fan_out", ["--year", "2024", *words]).params
        names = _fan_out.Asked.__dataclass_fields__
        asked = _fan_out.Asked(**{name: given[name] for name in names})
        return _fan_out.fan_out(self.context(run_id), a_selection(**selection), asked)

    def work(self, args: list[str], index: int) -> int:
        """As ``fan_out_worker``; in a Job of one company its number is an argument."""
        said = dict(zip(args[3::2], args[4::2], strict=True))
        index = int(said.get("--index", index))
        plan = plans.require_plan(self.store, said["--plan"])
        worker = Worker(
            read_plan(self.store, said["--plan"], said["--shape"], said["--digest"], index),
            index,
            self.world.pipeline.slices(plan, schemas.read_schema(self.store, plan.release)),
            self.store,
            Audits(self.store, plan.release),
            companies=plan.companies,
            now=lambda: START,
        )
        return 4 if any(outcome.error for outcome in worker.run()) else 0

    def downloads(self) -> list[str]:
        return sorted(asked["conditions[0][value]"] for asked in self.site.of_kind("download"))


class FanOut(FanOutCase):
    def test_leaves_what_one_process_leaves_and_says_so_in_one_fact(self):
        for words, created in ((PER_COMPANY, 2), (PACKED, 1)):
            with self.subTest(words=words):
                self.setUp()
                self.assertEqual(self.fan_out(*words), 0)
                fact = self.fact
                self.assertLessEqual(OF_EVERY_FACT, set(fact))
                self.assertEqual(
                    (fact["status"], fact["planned"], fact["proved"], fact["rows"], fact["year_closed"]),
                    ("completed", 2, 2, 5, True),
                )
                self.assertEqual((fact["shape"], fact["jobs_created"], fact["jobs_adopted"]), (words[1], created, 0))
                self.assertEqual(self.downloads(), [COMPANY, OTHER])
                self.assertEqual(len(self.world.parts()), 2)
                self.assertEqual(self.api.jobs, {})
                self.assertIn("slices     2 proved, 0 empty, 0 failed, of 2", self.said())

    def test_run_again_creates_nothing(self):
        self.fan_out(*PER_COMPANY)
        run_id = self.fact["run_id"]
        asked, writes = list(self.api.asked), list(self.store.writes)

        self.assertEqual(self.fan_out(*PER_COMPANY), 0)

        fact = self.fact
        self.assertEqual((fact["status"], fact["run_id"], fact["jobs_created"]), ("already done", run_id, 0))
        self.assertEqual((self.api.asked, self.store.writes), (asked, writes))

    def test_finds_that_all_is_proved_and_commits(self):
        for one in (COMPANY, OTHER):
            self.run_job(with_manifest=False, company_id=one)
            self.fact  # noqa: B018 - read, so that the next is the only one

        self.assertEqual(self.fan_out(*PER_COMPANY), 0)

        self.assertEqual((self.fact["status"], self.api.asked), ("completed", []))

    def test_creates_jobs_only_for_what_is_not_proved(self):
        self.run_job(with_manifest=False, company_id=OTHER)
        self.fact  # noqa: B018

        self.fan_out(*PER_COMPANY)

        self.assertEqual((self.fact["jobs_created"], self.downloads()), (1, [COMPANY, OTHER]))

    def test_never_has_more_jobs_at_once_than_the_source_has_streams(self):
        self.streams = 1

        self.fan_out(*PER_COMPANY, "--max-in-flight", "50")

        self.assertEqual((self.api.most_open, self.fact["status"]), (1, "completed"))

    def test_whose_slices_fail_ends_as_their_failures_say(self):
        self.site.fault("download", says(503), 10**6, when=lambda asked: asked["conditions[0][value]"] == OTHER)

        self.assertEqual(self.fan_out(*PER_COMPANY, "--max-failure-ratio", "1"), 4)

        fact = self.fact
        self.assertEqual((fact["status"], fact["proved"], fact["failed"]), ("partial", 1, 1))
        self.assertIn(OTHER, self.said())

    def test_without_an_image_says_so_of_every_slice_and_does_not_wait_for_ever(self):
        waiting = {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
        self.api.holds = {COMPANY: waiting, OTHER: waiting}

        self.assertEqual(self.fan_out(*PER_COMPANY, "--doubt-after", "0"), 3)

        self.assertEqual((self.fact["failed"], self.api.jobs), (2, {}))
        self.assertIn("image_pull", self.said())

    def test_goes_on_with_the_plan_that_is_there(self):
        self.fan_out(*PACKED, "--print", run_id="r1")
        self.stdout.truncate(0)

        self.fan_out("--shape", "packed", "--pods", "1", run_id="r1")

        plans = [key for key in self.store.writes if "/fan_out_" in key]
        self.assertEqual(plans, [lake_layout.fan_out.plan("r1", "packed")])

    def test_begins_nothing_while_the_source_refuses_us(self):
        self.context().board.tell(Notice(10**12, "403 by the edge."))

        with self.assertRaisesRegex(BlockedError, "403 by the edge"):
            self.fan_out(*PER_COMPANY)

        self.assertEqual(self.api.asked, [])

    def test_chooses_the_cheaper_shape_if_it_may(self):
        self.fan_out()

        self.assertEqual(self.fact["shape"], "packed")

    def test_keeps_to_the_shape_of_the_plan_that_is_there(self):
        """What is cheaper for the rest of a run may be the other shape, whose Jobs would fetch the same again."""
        self.fan_out(*PER_COMPANY, "--print", run_id="r1")
        self.stdout.truncate(0)
        self.stdout.seek(0)

        self.fan_out(run_id="r1")

        self.assertEqual(self.fact["shape"], "per-company")

    def test_is_refused_while_jobs_of_the_other_shape_are_at_work(self):
        self.fan_out(*PER_COMPANY, "--print", run_id="r1")
        first, _ = json.loads(self.stdout.getvalue())["items"]
        self.api.add(first)

        with self.assertRaisesRegex(ConflictError, "per-company Jobs of run r1 are at work. --shape per-company goes"):
            self.fan_out(*PACKED, run_id="r1")

        self.assertEqual(self.api.created, [first["metadata"]["name"]])

    def test_is_refused_where_the_packed_plan_that_is_there_has_more_streams(self):
        self.fan_out(*PACKED, "--print", run_id="r1")
        self.streams = 2

        with self.assertRaisesRegex(UsageError, "has 8 streams, more than the 2 of now. --streams 8 goes on with it"):
            self.fan_out(*PACKED, run_id="r1")

        self.assertEqual(self.api.asked, [])


class TheWays(FanOutCase):
    def test_are_compared_and_nothing_is_begun(self):
        self.assertEqual(self.fan_out("--dry-run"), 0)

        fact = self.fact
        self.assertEqual([one["way"] for one in fact["ways"]], ["one process", "packed", "per-company"])
        self.assertEqual((fact["status"], fact["units"], fact["choice"]), ("planned", 2, "one process"))
        self.assertEqual((self.api.asked, lake_layout.fan_out.plan("r1", "packed") in self.store.writes), ([], False))
        self.assertFalse([key for key in self.store.writes if key.startswith(lake_layout.runs.RUNS)])
        self.assertRegex(self.said(), r"2 slices in 2 windows are not proved; 8 streams")
        self.assertRegex(self.said(), r"one process +1 +1 .*<-")


class Printed(FanOutCase):
    def test_are_the_jobs_for_kubectl_and_none_is_created(self):
        for words, count in ((PER_COMPANY, 2), (PACKED, 1)):
            with self.subTest(words=words):
                self.setUp()
                self.assertEqual(self.fan_out(*words, "--print", "--env", "A=1", "--queue", "main", run_id="r1"), 0)
                printed = json.loads(self.stdout.getvalue())
                self.assertEqual((printed["kind"], len(printed["items"]), self.api.asked), ("List", count, []))
                for item in printed["items"]:
                    kubernetes_validate.validate(item, "1.33", strict=True)
                    self.assertIn('"--digest"', json.dumps(item))

    def test_are_none_where_nothing_is_left_to_do_and_nothing_is_committed_for_it(self):
        self.run_job(with_manifest=False, company_id=COMPANY)
        self.run_job(with_manifest=False, company_id=OTHER)
        for committed in (False, True):
            with self.subTest(committed=committed):
                if committed:
                    self.fan_out(*PER_COMPANY)
                self.stdout.truncate(0)
                self.stdout.seek(0)
                manifests = [key for key in self.store.writes if key.endswith("/manifest.json")]
                self.assertEqual(self.fan_out(*PER_COMPANY, "--print"), 0)
                self.assertEqual(json.loads(self.stdout.getvalue())["items"], [])
                self.assertIn("nothing is left to do", self.said())
                self.assertEqual([key for key in self.store.writes if key.endswith("/manifest.json")], manifests)

    def test_do_the_work_when_they_are_created(self):
        self.fan_out(*PER_COMPANY, "--print", run_id="r1")
        printed = json.loads(self.stdout.getvalue())
        self.stdout.truncate(0)
        self.stdout.seek(0)
        for item in printed["items"]:
            self.api.add(item)

        self.assertEqual(self.fan_out(*PER_COMPANY, run_id="r1"), 0)

        fact = self.fact
        self.assertEqual((fact["status"], fact["jobs_created"]), ("completed", 0))


class Cancelled(FanOutCase):
    def interrupted(self, *words: str) -> None:
        """Asked to stop in the first sleep, as by Ctrl-C."""
        step = self.stop.step

        def ask() -> None:
            self.stop.step = step
            step()
            self.stop.request()
            self.stop.check()

        self.stop.step = ask
        with self.assertRaises(StoppedError):
            self.fan_out(*words)

    def test_are_jobs_and_pods_of_either_shape(self):
        for words in (PER_COMPANY, PACKED):
            with self.subTest(words=words):
                self.setUp()
                self.interrupted(*words)
                created = len(self.api.jobs)
                self.stop.reset()
                self.assertEqual(self.fan_out("--cancel"), 0)
                fact = self.fact
                self.assertEqual((fact["status"], fact["jobs_deleted"]), ("cancelled", created))
                self.assertEqual((self.api.jobs, self.api.pods), ({}, {}))
                self.assertFalse([key for key in self.store.writes if key.endswith("/manifest.json")])

    def test_need_no_source_and_may_be_of_a_release_that_is_gone(self):
        self.fan_out(*PER_COMPANY, "--print")
        for job in json.loads(self.stdout.getvalue())["items"]:
            job["metadata"]["labels"]["openpayments.io/release"] = "2020-01-01-00000000"
            self.api.add(job)
        self.stdout.truncate(0)
        self.stdout.seek(0)
        self.site.asked.clear()

        self.assertEqual(self.fan_out("--cancel"), 0)

        self.assertEqual((self.fact["jobs_deleted"], self.api.jobs, self.site.asked), (2, {}, []))

    def test_by_an_interrupt_if_that_is_wished(self):
        self.interrupted(*PER_COMPANY, "--on-interrupt", "cancel")

        self.assertEqual((self.api.jobs, self.api.pods), ({}, {}))
        self.assertIn("2 Jobs were deleted", self.said())

    def test_are_none_by_an_interrupt_where_nobody_can_be_asked(self):
        for words in ((), ("--on-interrupt", "detach")):
            with self.subTest(words=words):
                self.setUp()
                self.interrupted(*PER_COMPANY, *words)
                self.assertEqual(len(self.api.jobs), 2)
                self.assertIn("the Jobs go on; the same command attaches to them again", self.said())
                self.assertEqual(self.world.progress.stopped, 2)

    def test_leave_the_same_command_to_go_on(self):
        self.interrupted(*PER_COMPANY)
        self.stop.reset()

        self.assertEqual(self.fan_out(*PER_COMPANY), 0)

        fact = self.fact
        self.assertEqual((fact["status"], fact["jobs_created"]), ("completed", 0))
        self.assertEqual(self.downloads(), [COMPANY, OTHER])


class TheCommandLine(CommandCase):
    def test_refuses_what_makes_no_sense_before_it_asks_anybody(self):
        for words, said in [
            ((), "say which --year, or --years."),
            (("--year", "2024", "--years", "2023"), "say which --year, or --years."),
            (("--years", "2024-2020"), "neither"),
            (("--years", "2019-"), "neither"),
            (("--years", "1-99999999999"), "neither"),
            (("--years", "x"), "'x' is neither 2021,2023 nor 2018-2024."),
            (("--years", "2018-2020-2022"), "neither"),
            (("--years", "2023,2024", "--run-id", "r1"), "--run-id names one run"),
            (("--year", "2024", "--env", "A"), "'A' is not KEY=VALUE."),
            (("--year", "2024", "--shape", "round"), "--shape"),
            (("--year", "2024", "--max-failure-ratio", "2"), "--max-failure-ratio"),
            (("--year", "2024", "--max-failure-ratio", "nan"), "'nan' is not a finite number."),
            (("--year", "2024", "--try-hours", "nan"), "--try-hours"),
            (("--year", "2024", "--try-hours", "0"), "--try-hours"),
            (("--year", "2024", "--look-every", "-1"), "--look-every"),
            (("--year", "2024", "--start-within", "inf"), "--start-within"),
            (("--year", "2024", "--pods", "0"), "--pods"),
        ]:
            with self.subTest(words=words):
                status, fact, err = self.run_job("fan_out", *words)
                self.assertEqual((status, fact), (2, {}))
                self.assertIn(said, err)
        self.assertEqual(self.files(), {})

    def test_takes_years_in_ranges_and_lists_each_once(self):
        given = fan_out.command.make_context("x", ["--years", "2021,2018-2020,2019"])

        self.assertEqual(given.params["years"], (2021, 2018, 2019, 2020))
