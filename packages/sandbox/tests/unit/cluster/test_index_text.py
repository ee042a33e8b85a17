"""Texts of indexes."""

from __future__ import annotations

from unittest import TestCase

from sandbox.cluster.job import index_text


class IndexTextTest(TestCase):
    def test_runs_of_three_and_more_are_shortened(self):
        cases = [
            ([], ""),
            ([0], "0"),
            ([1, 0], "0,1"),
            ([0, 1, 2, 3, 7], "0-3,7"),
            ([1, 3, 4, 5, 7, 8, 10], "1,3-5,7,8,10"),
        ]
        for indexes, text in cases:
            with self.subTest(text=text):
                self.assertEqual(index_text(indexes), text)
