import unittest
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.fan_out.documents import FanOutPlan, Unit
from data_pipeline.fan_out.shapes import (
    AS_FAST,
    POD_START_SECONDS,
    STREAMS_PER_POD,
    Predicted,
    Rates,
    choice_of,
    packed,
    per_company,
    plan_of,
    predict,
    units_of,
)
from data_pipeline.open_payments.datasets import GENERAL, OWNERSHIP
from data_pipeline.open_payments.ledger.documents import PlannedCompany
from data_pipeline.open_payments.windows import ROWS_PER_WINDOW
from packages.data_pipeline.tests.unit.fakes import a_release

# Made up, with the skew of the real thing: few companies have most of the rows.
SKEWED = [1_200_000, 800_000, 500_000, 300_000, *[100_000] * 10, *[10_000] * 60, *[500] * 300, *[3] * 1200]
RATES = Rates(GENERAL.bytes_per_row)

row_counts = st.lists(st.one_of(st.none(), st.integers(0, 700_000)), max_size=60)


def companies(rows: list[int | None] | list[int]) -> list[PlannedCompany]:
    return [PlannedCompany(company_id=str(number), rows=count) for number, count in enumerate(rows, 1)]


def units(rows: list[int | None] | list[int]) -> list[Unit]:
    return units_of(GENERAL, companies(rows))


def a_packed(some: list[Unit], ceiling: int = 50, pods: int | None = None) -> FanOutPlan:
    return packed("r1", a_release(), some, ceiling=ceiling, pods=pods)


def ways(
    some: list[Unit], *, ceiling: int, max_in_flight: int = 10**6, pods: int | None = None
) -> dict[str, Predicted]:
    found = predict(some, ceiling=ceiling, max_in_flight=max_in_flight, pods=pods, rates=RATES)
    return {one.way: one for one in found}


class TheUnits(unittest.TestCase):
    def test_are_the_windows_of_what_is_not_proved_heaviest_first(self):
        found = units_of(GENERAL, [one for one in companies([5, ROWS_PER_WINDOW + 2, 7, 9]) if one.company_id != "3"])

        half = ROWS_PER_WINDOW // 2 + 1
        self.assertEqual(
            [(one.company_id, one.number, one.of, one.rows) for one in found],
            [("2", 1, 2, half), ("2", 2, 2, half), ("4", 1, 1, 9), ("1", 1, 1, 5)],
        )

    def test_of_a_slice_without_a_payment_date_are_one_window(self):
        (one,) = units_of(OWNERSHIP, companies([ROWS_PER_WINDOW * 3]))

        self.assertEqual((one.of, one.rows), (1, ROWS_PER_WINDOW * 3))
        self.assertLess(Rates(OWNERSHIP.bytes_per_row).seconds_of(one), RATES.seconds_of(one))

    def test_of_a_slice_without_rows_or_without_a_count_are_one_window(self):
        self.assertEqual([(one.company_id, one.of, one.rows) for one in units([0, None])], [("1", 1, 0), ("2", 1, 0)])

    @settings(deadline=None)
    @given(row_counts)
    def test_are_the_same_in_the_same_order_from_whatever_order(self, rows):
        planned = companies(rows)

        self.assertEqual(units_of(GENERAL, planned), units_of(GENERAL, reversed(planned)))

    @settings(deadline=None)
    @given(row_counts)
    def test_hold_at_least_the_rows_of_their_slice(self, rows):
        found: Counter[str] = Counter()
        for unit in units(rows):
            found[unit.company_id] += unit.rows
        for company in companies(rows):
            self.assertGreaterEqual(found[company.company_id], company.rows or 0)


class APackedPlan(unittest.TestCase):
    @settings(deadline=None)
    @given(row_counts, st.integers(1, 64), st.one_of(st.none(), st.integers(1, 100)))
    def test_has_every_unit_once_and_all_streams_for_any_number_of_pods(self, rows, ceiling, pods):
        some = units(rows)

        plan = a_packed(some, ceiling, pods)

        self.assertEqual(Counter(plan.units), Counter(some))
        self.assertEqual(max(Counter(plan.units).values(), default=1), 1)
        self.assertEqual(sum(plan.streams), ceiling)
        self.assertEqual(len(plan.streams), len(plan.bins))
        self.assertGreaterEqual(min(plan.streams), 1)
        self.assertLessEqual(max(plan.streams) - min(plan.streams), 1)
        if some:
            self.assertTrue(all(plan.bins), "a pod without work")

    @settings(deadline=None)
    @given(row_counts, st.integers(1, 64), st.one_of(st.none(), st.integers(1, 100)))
    def test_loads_no_stream_by_more_than_one_unit_over_the_fair_share(self, rows, ceiling, pods):
        some = units(rows)
        plan = a_packed(some, ceiling, pods)
        cost = [sum(map(RATES.seconds_of, bin_)) for bin_ in plan.bins]
        heaviest = max(map(RATES.seconds_of, some), default=0.0)

        fair = sum(cost) / ceiling
        for seconds, streams in zip(cost, plan.streams, strict=True):
            self.assertLessEqual(seconds / streams, fair + heaviest / min(plan.streams) + 1e-6)

    def test_is_heaviest_first_in_and_among_its_bins(self):
        plan = a_packed(units(SKEWED))

        for bin_ in plan.bins:
            self.assertEqual(list(bin_), sorted(bin_, key=lambda unit: -unit.rows))
        firsts = [bin_[0].rows for bin_ in plan.bins]
        self.assertEqual(firsts, sorted(firsts, reverse=True))

    def test_has_a_pod_for_every_few_streams_unless_told_otherwise(self):
        some = units(SKEWED)
        for ceiling, pods, count in [
            (1, None, 1),
            (STREAMS_PER_POD, None, 1),
            (STREAMS_PER_POD + 1, None, 2),
            (50, None, 7),
            (50, 3, 3),
            (4, 9, 4),
        ]:
            with self.subTest(ceiling=ceiling, pods=pods):
                self.assertEqual(len(a_packed(some, ceiling, pods).bins), count)
                self.assertEqual(ways(some, ceiling=ceiling, pods=pods)["packed"].pods, count)
        self.assertEqual(len(a_packed(some[:2], 50).bins), 2)

    def test_spreads_a_large_slice_over_pods(self):
        plan = a_packed(units([1_720_871]), 16, 2)

        self.assertEqual([len(bin_) for bin_ in plan.bins], [12, 12])


class APlanPerCompany(unittest.TestCase):
    @settings(deadline=None)
    @given(row_counts)
    def test_has_a_bin_of_its_own_for_each_biggest_first(self, rows):
        some = units(rows)

        plan = per_company("r1", a_release(), some)

        self.assertEqual(Counter(plan.units), Counter(some))
        self.assertEqual(plan.streams, (1,) * len(plan.bins))
        for bin_ in plan.bins:
            self.assertEqual([unit.number for unit in bin_], list(range(1, bin_[0].of + 1)))
            self.assertEqual(len({unit.company_id for unit in bin_}), 1)
        sizes = [sum(unit.rows for unit in bin_) for bin_ in plan.bins]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        self.assertEqual(len(plan.bins), len(rows))

    def test_may_give_each_more_streams(self):
        self.assertEqual(per_company("r1", a_release(), units([1, 2]), streams=3).streams, (3, 3))

    def test_is_one_of_the_two_there_are(self):
        some = units(SKEWED)
        for shape, plan in (("per-company", per_company("r1", a_release(), some)), ("packed", a_packed(some, 20, 3))):
            with self.subTest(shape=shape):
                found = plan_of(plan.shape, "r1", a_release(), some, ceiling=20, pods=3)
                self.assertEqual((found, found.shape), (plan, shape))


class APrediction(unittest.TestCase):
    def test_is_of_three_ways(self):
        some = units([ROWS_PER_WINDOW * 2, 10])
        window, small = RATES.seconds_of(some[0]), RATES.seconds_of(some[2])

        found = ways(some, ceiling=2)

        alone, both, jobs = found["one process"], found["packed"], found["per-company"]
        self.assertAlmostEqual(alone.seconds, window + small)
        self.assertEqual((alone.units, alone.pods, alone.at_once), (3, 1, 1))
        self.assertAlmostEqual(both.seconds, window + small + POD_START_SECONDS)
        self.assertEqual((both.pods, both.at_once), (1, 1))
        self.assertAlmostEqual(jobs.seconds, 2 * window + POD_START_SECONDS)
        self.assertEqual((jobs.pods, jobs.at_once), (2, 2))
        self.assertAlmostEqual(jobs.pod_hours * 3600, 2 * window + small + 2 * POD_START_SECONDS)

    def test_says_that_pods_add_nothing_to_what_the_source_gives(self):
        found = ways(units(SKEWED), ceiling=8)

        self.assertEqual(choice_of(list(found.values())).way, "one process")
        self.assertGreater(found["packed"].seconds, found["one process"].seconds)
        self.assertGreater(found["per-company"].pod_hours, found["packed"].pod_hours)

    def test_of_packed_at_a_ceiling_of_fifty_needs_at_most_a_third_of_one_job_a_company(self):
        found = ways(units(SKEWED), ceiling=50, max_in_flight=50)

        self.assertLessEqual(found["packed"].seconds, found["per-company"].seconds / 3)

    def test_never_has_more_jobs_at_once_than_the_source_has_streams(self):
        for max_in_flight, at_once in [(3, 3), (100, 8), (1, 1)]:
            with self.subTest(max_in_flight=max_in_flight):
                found = ways(units(SKEWED), ceiling=8, max_in_flight=max_in_flight)
                self.assertEqual(found["per-company"].at_once, at_once)

    def test_of_nothing_is_no_time_at_all(self):
        found = ways([], ceiling=8)

        self.assertEqual([one.seconds for one in found.values()], [0.0, POD_START_SECONDS, 0.0])
        self.assertEqual(found["per-company"].pods, 0)

    @settings(deadline=None)
    @given(row_counts, st.integers(1, 64), st.integers(1, 100))
    def test_is_never_below_what_the_streams_can_give(self, rows, ceiling, max_in_flight):
        some = units(rows)
        least = sum(map(RATES.seconds_of, some)) / ceiling

        for one in ways(some, ceiling=ceiling, max_in_flight=max_in_flight).values():
            self.assertGreaterEqual(one.seconds, least - 1e-6)


class TheChoice(unittest.TestCase):
    def test_is_the_cheapest_of_those_about_as_fast(self):
        fast = Predicted("fast", 1, 9, 9, 100.0, 9.0)
        as_fast = Predicted("about as fast", 1, 1, 1, 100.0 * AS_FAST, 1.0)
        slow = Predicted("slow", 1, 1, 1, 100.0 * AS_FAST + 1, 0.1)

        self.assertEqual(choice_of([fast, as_fast, slow]), as_fast)
        self.assertEqual(choice_of([slow, fast]), fast)
