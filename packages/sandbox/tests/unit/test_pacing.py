"""Bytes are let go at their rate, whole (no clock is needed to see it)."""

from __future__ import annotations

from unittest import TestCase

from sandbox.pacing import Bucket, Pace
from sandbox.result import Data
from sandbox.settings import Settings


class BucketTest(TestCase):
    def test_without_a_rate_nothing_waits(self):
        self.assertEqual(Bucket(None).wait(10**12), 0.0)

    def test_what_is_taken_beyond_the_burst_is_waited_for(self):
        bucket = Bucket(100.0)
        self.assertAlmostEqual(bucket.wait(5), 0.0)
        self.assertAlmostEqual(bucket.wait(100), 1.0, delta=0.05)
        self.assertAlmostEqual(bucket.wait(100), 2.0, delta=0.05)


class PaceTest(TestCase):
    def test_unpaced_data_stays_whole(self):
        data = Data(b"x" * 10**6, 1_000)
        self.assertEqual(list(Pace(Bucket(None), Settings()).portions(data)), [(0.0, data)])

    def test_portions_add_up_to_the_data(self):
        body = bytes(range(256)) * 4_000
        for settings in (
            Settings(bytes_per_second_per_stream=1e9),
            Settings(rows_per_second_per_stream=1e7),
            Settings(bytes_per_second_per_stream=1e9, rows_per_second_per_stream=1e7),
        ):
            with self.subTest(settings=settings):
                portions = [part for _, part in Pace(Bucket(2e9), settings).portions(Data(body, 1_777))]
                self.assertEqual(b"".join(bytes(part.body) for part in portions), body)
                self.assertEqual(sum(part.rows for part in portions), 1_777)
                self.assertGreater(len(portions), 1)

    def test_the_slowest_bucket_decides(self):
        settings = Settings(bytes_per_second_per_stream=1e6, rows_per_second_per_stream=10)
        waits = [wait for wait, _ in Pace(Bucket(1e9), settings).portions(Data(b"x" * 100_000, 100))]
        self.assertAlmostEqual(max(waits), 10.0, delta=0.2)
