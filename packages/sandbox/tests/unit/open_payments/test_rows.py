"""Rows by reference: cut and turned without losing any."""

from __future__ import annotations

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from sandbox.open_payments.rows import Run, cut, rotated, total

RUNS = st.lists(
    st.one_of(
        st.builds(lambda start, length: Run("a", range(start, start + length)), st.integers(0, 50), st.integers(0, 9)),
        st.builds(lambda rows: Run("b", rows), st.lists(st.integers(0, 50), max_size=9)),
    ),
    max_size=6,
)


def rows(runs: list[Run]) -> list[tuple[str, int]]:
    return [(run.part, row) for run in runs for row in run.rows]


class RunsTest(TestCase):
    @given(RUNS, st.integers(0, 60), st.integers(0, 60))
    def test_a_cut_is_a_slice_of_the_rows(self, runs, start, stop):
        self.assertEqual(rows(cut(runs, start, stop)), rows(runs)[start:stop])

    @given(RUNS, st.integers(1, 1000))
    def test_a_turn_keeps_every_row(self, runs, turn):
        turned = rows(rotated(runs, turn))
        self.assertEqual(sorted(turned), sorted(rows(runs)))
        self.assertEqual(total(rotated(runs, turn)), total(runs))

    def test_successive_turns_start_at_different_rows(self):
        run = [Run("a", range(500))]
        starts = [rows(rotated(run, turn))[0] for turn in range(1, 60)]
        self.assertEqual(len(set(starts)), 59)
