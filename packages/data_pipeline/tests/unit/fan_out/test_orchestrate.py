import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import structlog

from data_pipeline import lake_layout
from data_pipeline.fan_out.decide import Limits
from data_pipeline.fan_out.options import FanOutOptions, default_pod
from data_pipeline.fan_out.orchestrate import FanOutFact, cancel, job_bodies, orchestrate
from data_pipeline.fan_out.shared_backoff import Backoff, SharedBackoff
from data_pipeline.fan_out.worker import Worker, read_plan
from data_pipeline.open_payments.ledger import plans, schemas
from data_pipeline.open_payments.ledger.audits import Audits
from data_pipeline.open_payments.run import run
from data_pipeline.settings import Settings
from etl_core.errors import BlockedError, ConflictError, StoppedError, UnreachableError, UsageError
from etl_core.kube.client import Cluster
from etl_core.stop import Stop
from packages.data_pipeline.tests.unit.fakes import COMPANY, OTHER, START, World, WorldCase, a_selection, payments, says
from packages.data_pipeline.tests.unit.fan_out.memory_cluster import MemoryCluster

PER_COMPANY = FanOutOptions(shape="per-company")
PACKED = FanOutOptions(shape="packed", pods=2)


class SteppingStop(Stop):
    """Each sleep advances the cluster by one step; no time passes."""

    def __init__(self, step: Callable[[], None]) -> None:
        super().__init__()
        self.step = step

    def sleep(self, seconds: float) -> None:
        self.check()
        self.step()


class FanOutWorld(World):
    """A world with a cluster."""

    def __init__(self, cluster: MemoryCluster) -> None:
        super().__init__()
        self.stop = SteppingStop(cluster.step)
        self.settings = Settings()
        self.backoff = SharedBackoff(self.store, "site.test", clock=START.timestamp)
        self._cluster = cluster

    def cluster(self, namespace: str, *, patience_seconds: float = 300.0) -> Cluster:
        return self._cluster.cluster(self.stop.sleep)


class FanOutCase(WorldCase):
    """A site, a lake, and a cluster whose pods do what the worker does."""

    def setUp(self) -> None:
        self.api = MemoryCluster(self.work)
        self.world: FanOutWorld = FanOutWorld(self.api)
        self.addCleanup(self.world.close)
        self.site.publish(2024, payments(COMPANY, 3) + payments(OTHER, 2))
        self.site.summarise(y2024=5)

    def fan_out(self, options: FanOutOptions | None = None, **how: Any) -> FanOutFact:
        return orchestrate(self.world, a_selection(), options, **how)

    def bodies(self, options: FanOutOptions, run_id: str = "") -> list[dict[str, Any]]:
        return job_bodies(self.world, a_selection(), options, run_id=run_id)

    def run_company(self, company_id: str) -> None:
        run(self.world, a_selection(company_id=company_id), with_manifest=False)

    def work(self, args: list[str], index: int) -> int:
        """As ``fan_out_worker``; in a Job of one company its number is an argument."""
        given = dict(zip(args[3::2], args[4::2], strict=True))
        index = int(given.get("--index", index))
        plan = plans.require_plan(self.store, given["--plan"])
        worker = Worker(
            read_plan(self.store, given["--plan"], given["--shape"], given["--digest"], index),
            index,
            self.world.pipeline.slices(plan, schemas.read_schema(self.store, plan.release)),
            self.store,
            Audits(self.store, plan.release),
            companies=plan.companies,
        )
        return 4 if any(outcome.error for outcome in worker.run()) else 0

    def downloads(self) -> list[str]:
        return sorted(asked["conditions[0][value]"] for asked in self.site.of_kind("download"))

    def keys(self, end: str) -> list[str]:
        return [key for key in self.store.writes if key.endswith(end)]


def _unreachable() -> None:
    raise UnreachableError("GET http://api.test failed: no route to host")


class Orchestrate(FanOutCase):
    def test_leaves_what_one_process_leaves_and_returns_one_fact(self):
        for options, created in ((PER_COMPANY, 2), (PACKED, 1)):
            with self.subTest(shape=options.shape):
                self.setUp()
                started: list[str] = []
                fact = self.fan_out(options, on_start=started.append)
                self.assertEqual(
                    (fact.job, fact.status, fact.exit_code, fact.planned, fact.proved, fact.rows, fact.closed),
                    ("fan_out", "completed", 0, 2, 2, 5, True),
                )
                self.assertEqual((fact.shape, fact.jobs_created, fact.jobs_adopted), (options.shape, created, 0))
                self.assertGreater(fact.polls, 1)
                self.assertEqual((started, self.downloads()), ([fact.run_id], [COMPANY, OTHER]))
                self.assertEqual((len(self.world.parts()), self.api.jobs), (2, {}))

    def test_prints_nothing(self):
        structlog.reset_defaults()
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(out):
            self.fan_out()

        self.assertEqual(out.getvalue(), "")

    def test_called_again_creates_nothing(self):
        first = self.fan_out(PER_COMPANY)
        requests, writes = list(self.api.requests), list(self.store.writes)

        fact = self.fan_out(PER_COMPANY)

        self.assertEqual((fact.status, fact.run_id, fact.jobs_created), ("already done", first.run_id, 0))
        self.assertEqual((self.api.requests, self.store.writes), ([*requests, "GET jobs"], writes))

    def test_removes_finished_jobs_of_a_submitter_that_died(self):
        for options in (PER_COMPANY, PACKED):
            with self.subTest(shape=options.shape):
                self.setUp()
                bodies = self.bodies(options, "r1")
                for body in bodies:
                    self.api.add(body)
                while not all(job["status"].get("conditions") for job in self.api.jobs.values()):
                    self.api.step()
                fact = self.fan_out(options, run_id="r1")
                self.assertEqual((fact.status, fact.jobs_created, self.api.jobs), ("completed", 0, {}))

    def test_leaves_the_jobs_of_another_lake_alone(self):
        ours = self.bodies(PER_COMPANY)
        for body, ended in zip(ours, (True, False), strict=True):
            body["metadata"]["labels"]["openpayments.io/lake"] = "f" * 12
            body["metadata"]["name"] = f"theirs-{ended}"
            body["spec"]["suspend"] = True
            self.api.add(body)
        self.api.jobs["theirs-True"]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

        fact = self.fan_out(PER_COMPANY)

        self.assertEqual((fact.status, fact.jobs_created, fact.jobs_adopted), ("completed", 2, 0))
        self.assertEqual(self.api.jobs.keys(), {"theirs-True", "theirs-False"})
        self.assertEqual(cancel(self.world, "general-payments", 2024), 0)
        self.assertEqual(len(self.api.jobs), 2)

    def test_a_cluster_that_is_away_does_not_matter_once_all_is_done(self):
        self.fan_out(PER_COMPANY)
        self.api.on_call = _unreachable

        self.assertEqual(self.fan_out(PER_COMPANY).status, "already done")

    def test_commits_a_run_whose_slices_are_all_proved(self):
        for one in (COMPANY, OTHER):
            self.run_company(one)

        fact = self.fan_out(PER_COMPANY)

        self.assertEqual((fact.status, self.api.requests), ("completed", []))

    def test_creates_jobs_only_for_what_is_not_proved(self):
        self.run_company(OTHER)

        fact = self.fan_out(PER_COMPANY)

        self.assertEqual((fact.jobs_created, self.downloads()), (1, [COMPANY, OTHER]))

    def test_never_has_more_jobs_at_once_than_the_source_has_streams(self):
        self.world.settings = Settings(source_max_streams=1)

        fact = self.fan_out(replace(PER_COMPANY, max_in_flight=50))

        self.assertEqual((self.api.peak_open, fact.status), (1, "completed"))

    def test_with_failed_slices_says_whether_a_retry_may_help_and_when(self):
        self.site.fault("download", says(503), 10**6, when=lambda asked: asked["conditions[0][value]"] == OTHER)
        for not_before, seconds in ((0.0, None), (START.timestamp() + 10**6, True)):
            with self.subTest(seconds=seconds):
                self.world.backoff.publish(Backoff(not_before))
                fact = self.fan_out(replace(PER_COMPANY, limits=Limits(max_failure_ratio=1)))
                self.assertEqual((fact.exit_code, fact.status, fact.proved, fact.failed), (4, "partial", 1, 1))
                self.assertEqual([one.company_id for one in fact.failures], [OTHER])
                self.assertEqual(fact.retry_after_seconds and fact.retry_after_seconds > 10**5, seconds)

    def test_without_an_image_fails_every_slice_with_that_reason(self):
        waiting = {"containerStatuses": [{"name": "job", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
        self.api.stuck = {COMPANY: waiting, OTHER: waiting}

        fact = self.fan_out(replace(PER_COMPANY, limits=Limits(pending_check_after=0)))

        self.assertEqual((fact.exit_code, fact.failed, self.api.jobs), (3, 2, {}))
        self.assertEqual({one.reason for one in fact.failures}, {"image_pull"})

    def test_continues_with_the_plan_that_is_there(self):
        self.bodies(PACKED, "r1")

        self.fan_out(FanOutOptions(shape="packed", pods=1), run_id="r1")

        plans = [key for key in self.store.writes if "/fan_out_" in key]
        self.assertEqual(plans, [lake_layout.fan_out.plan("r1", "packed")])

    def test_starts_nothing_while_the_source_blocks_us(self):
        self.world.backoff.publish(Backoff(10**12, "403 by the edge."))

        with self.assertRaisesRegex(BlockedError, "403 by the edge"):
            self.fan_out(PER_COMPANY)

        self.assertEqual(self.api.requests, [])

    def test_chooses_the_cheaper_shape_if_it_may(self):
        self.assertEqual(self.fan_out().shape, "packed")

    def test_keeps_to_the_shape_of_the_plan_that_is_there(self):
        """The other shape may be cheaper for the rest of a run, but its Jobs would fetch the same windows again."""
        self.bodies(PER_COMPANY, "r1")

        self.assertEqual(self.fan_out(run_id="r1").shape, "per-company")

    def test_is_refused_while_jobs_of_the_other_shape_run(self):
        first, _ = self.bodies(PER_COMPANY, "r1")
        self.api.add(first)

        with self.assertRaisesRegex(ConflictError, "per-company Jobs of run r1 are running. --shape per-company atta"):
            self.fan_out(PACKED, run_id="r1")

        self.assertEqual(self.api.created, [first["metadata"]["name"]])

    def test_is_refused_if_the_packed_plan_that_is_there_has_more_streams(self):
        self.bodies(PACKED, "r1")
        self.world.settings = Settings(source_max_streams=2)

        with self.assertRaisesRegex(UsageError, "has 8 streams, more than the 2 of now. --streams 8 continues it"):
            self.fan_out(PACKED, run_id="r1")

        self.assertEqual(self.api.requests, [])

    def test_in_a_dry_run_compares_the_ways_and_starts_nothing(self):
        fact = self.fan_out(dry_run=True)

        self.assertEqual([one.way for one in fact.ways], ["one process", "packed", "per-company"])
        self.assertEqual((fact.status, fact.choice, fact.planned), ("planned", "one process", 2))
        self.assertEqual(self.api.requests, [])
        self.assertFalse([key for key in self.store.writes if key.startswith(lake_layout.runs.RUNS)])


class JobBodies(FanOutCase):
    def test_are_valid_and_create_nothing(self):
        pod = replace(default_pod(), env={"A": "1"}, queue="main")
        for options, count in ((PER_COMPANY, 2), (PACKED, 1)):
            with self.subTest(shape=options.shape):
                self.setUp()
                bodies = self.bodies(replace(options, pod=pod), "r1")
                self.assertEqual((len(bodies), self.api.requests), (count, []))
                for body in bodies:
                    kubernetes_validate.validate(body, "1.33", strict=True)
                    (container,) = body["spec"]["template"]["spec"]["containers"]
                    self.assertIn("--digest", container["args"])
                    self.assertIn({"name": "A", "value": "1"}, container["env"])
                    self.assertIn({"name": "LAKE_URL", "value": "memory://"}, container["env"])

    def test_are_none_if_nothing_is_left_to_do(self):
        for one in (COMPANY, OTHER):
            self.run_company(one)
        for committed in (False, True):
            with self.subTest(committed=committed):
                if committed:
                    self.fan_out(PER_COMPANY)
                manifests = self.keys("/manifest.json")
                self.assertEqual(self.bodies(PER_COMPANY), [])
                self.assertEqual(self.keys("/manifest.json"), manifests)

    def test_are_adopted_by_a_fan_out_once_they_are_created(self):
        for body in self.bodies(PER_COMPANY, "r1"):
            self.api.add(body)

        fact = self.fan_out(PER_COMPANY, run_id="r1")

        self.assertEqual((fact.status, fact.jobs_created), ("completed", 0))


class AnInterruptedFanOut(FanOutCase):
    def interrupt(self, options: FanOutOptions) -> None:
        """Asked to stop in the first sleep, as by Ctrl-C."""
        stop = self.world.stop
        assert isinstance(stop, SteppingStop)
        step = stop.step

        def ask() -> None:
            stop.step = step
            step()
            stop.request()
            stop.check()

        stop.step = ask
        with self.assertRaises(StoppedError):
            self.fan_out(options)
        stop.reset()

    def test_leaves_its_jobs_to_the_next_call(self):
        self.interrupt(PER_COMPANY)
        progress = self.world.progress
        self.assertEqual((len(self.api.jobs), progress.stopped), (2, len(progress.begun)))

        fact = self.fan_out(PER_COMPANY)

        self.assertEqual((fact.status, fact.jobs_created), ("completed", 0))
        self.assertEqual(self.downloads(), [COMPANY, OTHER])

    def test_can_be_cancelled_whatever_its_shape(self):
        for options in (PER_COMPANY, PACKED):
            with self.subTest(shape=options.shape):
                self.setUp()
                self.interrupt(options)
                created = len(self.api.jobs)
                self.assertEqual(cancel(self.world, "general-payments", 2024), created)
                self.assertEqual((self.api.jobs, self.api.pods, self.keys("/manifest.json")), ({}, {}, []))

    def test_can_be_cancelled_without_the_source_and_after_its_release_is_gone(self):
        for body in self.bodies(PER_COMPANY):
            body["metadata"]["labels"]["openpayments.io/release"] = "2020-01-01-00000000"
            self.api.add(body)
        self.site.asked.clear()

        self.assertEqual(cancel(self.world, "general-payments", 2024), 2)

        self.assertEqual((self.api.jobs, self.site.asked), ({}, []))
