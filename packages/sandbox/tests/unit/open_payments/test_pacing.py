"""Bytes are let go at their rate, whole (no clock is needed to see it)."""

from __future__ import annotations

from unittest import TestCase

from sandbox.open_payments.pacing import Bucket, portions


class BucketTest(TestCase):
    def test_without_a_rate_nothing_waits(self):
        self.assertEqual(Bucket(None).wait(10**12), 0.0)

    def test_what_is_taken_beyond_the_burst_is_waited_for(self):
        bucket = Bucket(100.0)
        self.assertAlmostEqual(bucket.wait(5), 0.0)
        self.assertAlmostEqual(bucket.wait(100), 1.0, delta=0.05)
        self.assertAlmostEqual(bucket.wait(100), 2.0, delta=0.05)


class PortionsTest(TestCase):
    def test_an_unpaced_body_stays_whole(self):
        body = b"x" * 10**6
        for buckets in ([], [Bucket(None), Bucket(None)]):
            with self.subTest(buckets=len(buckets)):
                self.assertEqual([(wait, bytes(part)) for wait, part in portions(body, buckets)], [(0.0, body)])

    def test_portions_add_up_to_the_body(self):
        body = bytes(range(256)) * 4_000
        parts = [bytes(part) for _, part in portions(body, [Bucket(2e6), Bucket(None)])]
        self.assertEqual(b"".join(parts), body)
        self.assertGreater(len(parts), 1)

    def test_the_slowest_bucket_decides(self):
        waits = [wait for wait, _ in portions(b"x" * 100_000, [Bucket(1e9), Bucket(1e4)])]
        self.assertAlmostEqual(max(waits), 10.0, delta=0.2)
