import unittest
from collections.abc import Iterator
from typing import Any

from etl_core.errors import UnavailableError
from etl_core.kube.client import Cluster
from etl_core.kube.sweep import POLLS, sweep
from etl_core.testing import ManualClock


class FakeCluster(Cluster):
    """Lists of Jobs and pods per poll, and the calls that deleted some."""

    def __init__(self, *polls: tuple[int, int]) -> None:
        self.polls = list(polls)
        self.deleted: list[str] = []

    def jobs(self, selector: str) -> Iterator[dict[str, Any]]:
        return iter([{}] * self.polls[0][0])

    def pods(self, selector: str) -> Iterator[dict[str, Any]]:
        return iter([{}] * self.polls.pop(0)[1])

    def delete_jobs(self, selector: str) -> None:
        self.deleted.append(f"jobs {selector}")

    def delete_pods(self, selector: str) -> None:
        self.deleted.append(f"pods {selector}")


class Sweep(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = ManualClock()

    def test_jobs_are_deleted_and_counted_until_two_polls_find_nothing(self):
        cluster = FakeCluster((3, 3), (1, 2), (0, 0), (0, 0))

        self.assertEqual(sweep(cluster, "a=b", self.clock.sleep), 3)
        self.assertEqual((cluster.deleted, cluster.polls), (["jobs a=b"] * 2, []))
        self.assertEqual(len(self.clock.slept), 3)

    def test_a_pod_that_appears_after_an_empty_poll_is_deleted(self):
        cluster = FakeCluster((1, 1), (0, 0), (0, 1), (0, 0), (0, 0))

        sweep(cluster, "a=b", self.clock.sleep)

        self.assertEqual(cluster.deleted, ["jobs a=b", "pods a=b"])

    def test_nothing_is_deleted_if_there_is_nothing(self):
        cluster = FakeCluster((0, 0), (0, 0))

        self.assertEqual((sweep(cluster, "a=b", self.clock.sleep), cluster.deleted), (0, []))

    def test_pods_that_stay_are_an_error_after_two_minutes(self):
        cluster = FakeCluster(*[(0, 1)] * POLLS)

        with self.assertRaisesRegex(UnavailableError, "still there after two minutes of deleting. Run it again."):
            sweep(cluster, "a=b", self.clock.sleep)
