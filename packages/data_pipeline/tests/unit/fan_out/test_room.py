import unittest
from typing import Any

from data_pipeline.fan_out.room import needs_of, room
from etl_core.errors import DataError
from packages.data_pipeline.tests.unit.fan_out.fakes import OPTIONS

NEEDS = needs_of(OPTIONS)


def a_quota(hard: dict[str, str], used: dict[str, str] | None = None) -> dict[str, Any]:
    return {"spec": {"hard": hard}, "status": {} if used is None else {"hard": hard, "used": used}}


class Room(unittest.TestCase):
    def test_quantities_are_compared_in_any_form(self):
        for hard, used, fits in [
            ({"count/jobs.batch": "2k"}, {"count/jobs.batch": "1999"}, True),
            ({"count/jobs.batch": "2k"}, {"count/jobs.batch": "2k"}, False),
            ({"pods": "1k"}, {"pods": "0"}, True),
            ({"requests.cpu": "56"}, {"requests.cpu": "55500m"}, True),
            ({"requests.cpu": "56"}, {"requests.cpu": "55501m"}, False),
            ({"limits.memory": "60Gi"}, {"limits.memory": "61000Mi"}, False),
            ({"requests.memory": "1Gi"}, {"requests.memory": "512Mi"}, True),
            ({"count/pods": "1"}, None, True),
        ]:
            with self.subTest(hard=hard, used=used):
                enough, full = room([a_quota(hard, used)], NEEDS)
                self.assertEqual((len(enough), len(full)), (1, 0) if fits else (0, 1))

    def test_each_limit_is_named_with_its_figures(self):
        quotas = [a_quota({"pods": "110", "secrets": "5"}, {"pods": "110"}), a_quota({"cpu": "1"}, {"cpu": "0"})]

        self.assertEqual(
            room(quotas, NEEDS),
            (["cpu: 0 of 1 used, 500m more needed"], ["pods: 110 of 110 used, 1 more needed"]),
        )

    def test_a_quantity_that_cannot_be_read_is_no_traceback(self):
        with self.assertRaisesRegex(DataError, "'many' is no Kubernetes quantity"):
            room([a_quota({"pods": "many"})], NEEDS)
