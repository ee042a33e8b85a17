import unittest

from packages.data_pipeline.tests.unit.fan_out.fakes import A, B, C, a_fan_out, a_unit


class FanOutPlanTest(unittest.TestCase):
    def test_slices_count_as_proved_if_proved_after_the_plan_was_made(self):
        plan = a_fan_out(closed_before={A: 1, B: 2})

        self.assertEqual(plan.proved_of({A: 1, B: 3, "104": 1}), {B, "104"})
        self.assertEqual(a_fan_out().proved_of({A: 1}), {A})
        self.assertEqual(plan.proved_of({}), set())

    def test_a_plan_lists_the_units_of_all_bins_heaviest_first(self):
        bins = (a_unit(A, rows=9), a_unit("20", rows=5)), (a_unit(C, rows=9), a_unit(B, 2, 2, rows=5))

        self.assertEqual([unit.company_id for unit in a_fan_out(*bins).units], [A, C, "20", B])
