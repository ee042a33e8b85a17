from pathlib import Path

from data_pipeline.fan_out.plans import write_plan
from data_pipeline.open_payments.ledger import plans, schemas
from data_pipeline.open_payments.ledger.audits import Audits
from packages.data_pipeline.tests.unit.fakes import COLUMNS, START, a_plan, a_release, an_audit
from packages.data_pipeline.tests.unit.fan_out.to_hand import A, B, a_fan_out, a_unit
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase

PLAN = a_fan_out((a_unit(A),), (a_unit(B),))


class AWorker(CommandCase):
    def setUp(self):
        super().setUp()
        plans.write_plan(self.store, a_plan({A: 3, B: 3}))
        schemas.write_schema(self.store, a_release(), COLUMNS)
        _, self.digest = write_plan(self.store, PLAN)

    def work(self, *words: str, plan: str = "r1", digest: str = "", shape: str = "per-company"):
        digest = digest or self.digest
        return self.run_job("fan_out_worker", "--plan", plan, "--digest", digest, "--shape", shape, *words)

    def prove(self, *companies: str) -> None:
        for company_id in companies:
            Audits(self.store, a_release()).close_slice(company_id, (an_audit(company_id),), 3, START)

    def test_that_finds_everything_proved_ends_at_once(self):
        self.prove(A)
        files = self.files()

        status, fact, _ = self.work("--index", "0")

        self.assertEqual((status, fact["status"], fact["run_id"], fact["planned"]), (0, "already done", "r1", 1))
        self.assertEqual((fact["index"], fact["requests"], fact["failed"]), (0, 0, 0))
        self.assertEqual(self.files(), files, "and writes nothing, no log either: there may be thousands of them")

    def test_is_told_its_number_by_kubernetes(self):
        self.prove(A, B)
        Path(".env").write_text("JOB_COMPLETION_INDEX=1\n")

        self.assertEqual(self.work()[1]["index"], 1)
        self.assertEqual(self.work("--index", "0")[1]["index"], 0, "unless a Job of one company says it")

    def test_without_a_number_is_a_wrong_call(self):
        status, _, err = self.work()

        self.assertEqual(status, 2)
        self.assertIn("--index", err)

    def test_that_sees_another_lake_or_another_plan_is_refused_for_good(self):
        for options, said in [
            ({"plan": "r2"}, "Workers must see the submitter's lake"),
            ({"shape": "packed"}, "Workers must see the submitter's lake"),
            ({"digest": "0" * 64}, "this worker was sent with"),
        ]:
            with self.subTest(options=options):
                status, fact, err = self.work("--index", "0", **options)
                self.assertEqual((status, fact["status"]), (3, "failed"))
                self.assertIn(said, err)

    def test_of_a_bin_that_is_none_is_refused_for_good(self):
        self.assertEqual(self.work("--index", "2")[0], 3)

    def test_with_a_run_id_that_is_none_is_a_wrong_call(self):
        self.assertEqual(self.work("--index", "0", plan="../x")[0], 2)
