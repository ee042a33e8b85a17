import hashlib
import unittest

from data_pipeline import lake_layout
from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.fan_out.plans import read_plan, write_plan
from etl_core.errors import DataError, NotFoundError
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fan_out.to_hand import A, B, C, a_fan_out, a_unit

KEY = "metadata/runs/run_id=r1/fan_out_per-company.json"


class APlan(unittest.TestCase):
    def setUp(self):
        self.store = MemoryStore()
        self.plan = a_fan_out()

    def test_is_written_under_its_run_and_shape(self):
        found, digest = write_plan(self.store, self.plan)

        self.assertEqual((found, self.store.writes), (self.plan, [KEY]))
        body = self.store.get(KEY) or b""
        self.assertEqual(digest, hashlib.sha256(body).hexdigest())
        self.assertEqual(FanOutPlan.model_validate_json(body), self.plan)
        self.assertEqual(KEY, lake_layout.fan_out.plan("r1", "per-company"))

    def test_is_that_of_the_first_submitter(self):
        first = write_plan(self.store, self.plan)
        other = a_fan_out((a_unit(B),))

        self.assertEqual(write_plan(self.store, other), first)
        self.assertEqual(self.store.writes, [KEY])

    def test_of_the_other_shape_stands_beside_it(self):
        write_plan(self.store, self.plan)
        packed = a_fan_out((a_unit(A), a_unit(B)), shape="packed")

        self.assertEqual(write_plan(self.store, packed)[0], packed)
        self.assertEqual(len(self.store.writes), 2)

    def test_is_read_by_whom_it_was_sent_to(self):
        _, digest = write_plan(self.store, self.plan)

        for index in range(3):
            self.assertEqual(read_plan(self.store, "r1", "per-company", digest, index), self.plan)

    def test_that_is_not_in_the_workers_lake_says_which_lake_that_is(self):
        with self.assertRaisesRegex(NotFoundError, f"memory:// has no {KEY}. Workers must see the submitter's lake"):
            read_plan(self.store, "r1", "per-company", "0" * 64, 0)

    def test_that_is_another_one_is_refused(self):
        _, digest = write_plan(self.store, self.plan)

        with self.assertRaisesRegex(DataError, f"{KEY} has sha256 {digest}, this worker was sent with 0000"):
            read_plan(self.store, "r1", "per-company", "0" * 64, 0)

    def test_without_such_a_bin_is_refused(self):
        _, digest = write_plan(self.store, self.plan)

        with self.assertRaisesRegex(DataError, "has 3 bins, there is none with the number 3"):
            read_plan(self.store, "r1", "per-company", digest, 3)

    def test_that_cannot_be_read_is_no_plan(self):
        for body in (b"", b"{}", b"nonsense", self.plan.to_bytes().replace(b'"bins"', b'"heaps"')):
            with self.subTest(body=body):
                self.store.put(KEY, body)
                with self.assertRaisesRegex(DataError, f"{KEY} is no FanOutPlan of schema version 1"):
                    write_plan(self.store, self.plan)
                with self.assertRaisesRegex(DataError, f"{KEY} is no FanOutPlan of schema version 1"):
                    read_plan(self.store, "r1", "per-company", hashlib.sha256(body).hexdigest(), 0)

    def test_counts_as_proved_what_was_proved_since_it_was_made(self):
        plan = a_fan_out(closed_before={A: 1, B: 2})

        self.assertEqual(plan.proved_of({A: 1, B: 3, "104": 1}), {B, "104"})
        self.assertEqual(self.plan.proved_of({A: 1}), {A})
        self.assertEqual(plan.proved_of({}), set())

    def test_has_the_units_of_all_its_bins_heaviest_first(self):
        bins = (a_unit(A, rows=9), a_unit("20", rows=5)), (a_unit(C, rows=9), a_unit(B, 2, 2, rows=5))

        self.assertEqual([unit.company_id for unit in a_fan_out(*bins).units], [A, C, "20", B])
