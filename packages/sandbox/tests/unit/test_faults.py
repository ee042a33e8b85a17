"""Which request meets a fault."""

from __future__ import annotations

from unittest import TestCase

from sandbox.faults import FaultDraw, Faults, parse

STAGES = {"http_500": "edge", "slow_start": "edge", "short_rows": "body", "stall": "body"}


class ParseTest(TestCase):
    def test_known_keys_are_options_and_the_rest_parameters(self):
        cases = [
            ("http_500", {"name": "http_500", "params": {}}),
            (
                "http_500:probability=0.05,match=download",
                {"name": "http_500", "probability": 0.05, "match": "download", "params": {}},
            ),
            (
                "stall:count=3,after=2,seconds=1.5",
                {"name": "stall", "count": 3, "after": 2, "params": {"seconds": 1.5}},
            ),
            ("header_drift:change=add,now=true", {"name": "header_drift", "params": {"change": "add", "now": True}}),
            ("cut_body:match=2024", {"name": "cut_body", "match": "2024", "params": {}}),
        ]
        for text, expected in cases:
            with self.subTest(text=text):
                self.assertEqual(parse(text), expected)

    def test_an_option_without_a_value_is_refused(self):
        with self.assertRaisesRegex(ValueError, "key=value"):
            parse("stall:seconds")


class FaultsTest(TestCase):
    def meets(self, faults: Faults, target: str = "/a", stage: str = "edge") -> str | None:
        fault = FaultDraw(faults, target).take(stage)
        return fault.name if fault else None

    def test_a_fault_strikes_only_at_its_stage_and_where_it_matches(self):
        faults = Faults(1, STAGES)
        faults.add("http_500", match="/a")
        self.assertEqual(
            [self.meets(faults, *at) for at in (("/a",), ("/b",), ("/a", "body"))], ["http_500", None, None]
        )

    def test_count_and_after_bound_it(self):
        faults = Faults(1, STAGES)
        faults.add("http_500", count=2, after=1)
        self.assertEqual([self.meets(faults) for _ in range(5)], [None, "http_500", "http_500", None, None])

    def test_a_probability_comes_true_in_the_long_run(self):
        faults = Faults(1, STAGES)
        faults.add("http_500", probability=0.25)
        self.assertTrue(200 < sum(self.meets(faults) is not None for _ in range(1_000)) < 300)

    def test_one_that_cannot_apply_takes_no_notice(self):
        faults = Faults(1, STAGES)
        faults.add("short_rows", count=1)
        self.assertIsNone(FaultDraw(faults, "/a").take("body", lambda _: False))
        self.assertEqual((faults.listed()[0]["seen"], faults.listed()[0]["fired"]), (0, 0))
        self.assertEqual(self.meets(faults, stage="body"), "short_rows")

    def test_a_request_meets_one_fault_only(self):
        faults = Faults(1, STAGES)
        faults.add("slow_start")
        faults.add("short_rows")
        draw = FaultDraw(faults, "/a")
        self.assertIsNotNone(draw.take("edge"))
        self.assertIsNone(draw.take("body"))

    def test_what_does_not_exist_is_refused(self):
        for name, options in (("rain", {}), ("stall", {"seconds": 1})):
            with self.subTest(name=name), self.assertRaises(ValueError):
                Faults(1, STAGES).add(name, **options)
