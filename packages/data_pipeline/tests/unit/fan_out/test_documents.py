import hashlib
import unittest

from data_pipeline import lake_layout
from data_pipeline.fan_out.documents import FanOutPlan, read_plan, write_plan
from etl_core.errors import DataError, NotFoundError
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fan_out.fakes import A, B, C, a_fan_out, a_unit

KEY = "metadata/runs/run_id=r1/fan_out_per-company.json"


class FanOutPlanTest(unittest.TestCase):
    def setUp(self):
        self.store = MemoryStore()
        self.plan = a_fan_out()

    def test_a_plan_is_written_under_its_run_and_shape(self):
        found, digest = write_plan(self.store, self.plan)

        self.assertEqual((found, self.store.writes), (self.plan, [KEY]))
        body = self.store.get(KEY) or b""
        self.assertEqual(digest, hashlib.sha256(body).hexdigest())
        self.assertEqual(FanOutPlan.model_validate_json(body), self.plan)
        self.assertEqual(KEY, lake_layout.fan_out.plan("r1", "per-company"))

    def test_the_plan_of_the_first_submitter_stays(self):
        first = write_plan(self.store, self.plan)
        other = a_fan_out((a_unit(B),))

        self.assertEqual(write_plan(self.store, other), first)
        self.assertEqual(self.store.writes, [KEY])

    def test_a_run_may_have_a_plan_of_each_shape(self):
        write_plan(self.store, self.plan)
        packed = a_fan_out((a_unit(A), a_unit(B)), shape="packed")

        self.assertEqual(write_plan(self.store, packed)[0], packed)
        self.assertEqual(len(self.store.writes), 2)

    def test_a_worker_reads_the_plan_that_it_was_started_for(self):
        _, digest = write_plan(self.store, self.plan)

        for index in range(3):
            self.assertEqual(read_plan(self.store, "r1", "per-company", digest, index), self.plan)

    def test_a_missing_plan_names_the_workers_lake(self):
        with self.assertRaisesRegex(NotFoundError, f"memory:// has no {KEY}. Workers must use the submitter's lake"):
            read_plan(self.store, "r1", "per-company", "0" * 64, 0)

    def test_a_plan_with_another_digest_is_refused(self):
        _, digest = write_plan(self.store, self.plan)

        with self.assertRaisesRegex(DataError, f"{KEY} has sha256 {digest}, this worker was started for 0000"):
            read_plan(self.store, "r1", "per-company", "0" * 64, 0)

    def test_an_index_without_a_bin_is_refused(self):
        _, digest = write_plan(self.store, self.plan)

        with self.assertRaisesRegex(DataError, "has 3 bins and no bin 3"):
            read_plan(self.store, "r1", "per-company", digest, 3)

    def test_a_plan_that_cannot_be_parsed_is_refused(self):
        for body in (b"", b"{}", b"nonsense", self.plan.to_bytes().replace(b'"bins"', b'"heaps"')):
            with self.subTest(body=body):
                self.store.put(KEY, body)
                with self.assertRaisesRegex(DataError, f"{KEY} is no FanOutPlan of schema version 1"):
                    write_plan(self.store, self.plan)
                with self.assertRaisesRegex(DataError, f"{KEY} is no FanOutPlan of schema version 1"):
                    read_plan(self.store, "r1", "per-company", hashlib.sha256(body).hexdigest(), 0)

    def test_slices_count_as_proved_if_proved_after_the_plan_was_made(self):
        plan = a_fan_out(closed_before={A: 1, B: 2})

        self.assertEqual(plan.proved_of({A: 1, B: 3, "104": 1}), {B, "104"})
        self.assertEqual(self.plan.proved_of({A: 1}), {A})
        self.assertEqual(plan.proved_of({}), set())

    def test_a_plan_lists_the_units_of_all_bins_heaviest_first(self):
        bins = (a_unit(A, rows=9), a_unit("20", rows=5)), (a_unit(C, rows=9), a_unit(B, 2, 2, rows=5))

        self.assertEqual([unit.company_id for unit in a_fan_out(*bins).units], [A, C, "20", B])
