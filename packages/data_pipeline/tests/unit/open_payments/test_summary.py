import unittest
from collections.abc import Mapping

from data_pipeline.open_payments import summary as report
from data_pipeline.open_payments.ledger.documents import Manifest
from data_pipeline.open_payments.ledger.selection import Forecast
from packages.data_pipeline.tests.unit.fakes import OTHER, a_manifest, a_plan, a_result


def lines_of(manifest: Manifest, seconds: float = 2.0, said: Mapping[str, str] | None = None) -> list[str]:
    text = report.of_manifest(
        manifest,
        seconds=seconds,
        received=9_000_000,
        requests=1234,
        retries=56,
        lake="memory://",
        said=said or {},
    )
    return text.splitlines()


class OfManifest(unittest.TestCase):
    def test_is_a_dozen_lines(self):
        manifest = a_manifest(
            a_result(rows=3000, bytes=5_000_000), a_result("7", "empty"), a_result(OTHER, "failed", reason="blocked")
        )

        self.assertEqual(
            lines_of(manifest),
            [
                "run        r1  completed",
                "release    2026-06-30-9323b84e of general-payments 2024",
                "slices     1 proved, 1 empty, 1 failed, of 3",
                "rows       3,000",
                "bytes      5,000,000",
                "time       2.0 s  4.5 MB/s",
                "requests   1,234, 56 of them retries",
                "year       closed: it adds up",
                "lake       memory://",
                "failed     100000000066  blocked",
            ],
        )

    def test_says_not_closed(self):
        opened = a_manifest().closure.model_copy(update={"closed": False, "note": "1 slice is open"})

        self.assertIn("year       not closed: 1 slice is open", lines_of(a_manifest(closure=opened)))

    def test_counts_what_no_slice_ended_in_as_zero(self):
        lines = lines_of(a_manifest(a_result("7", "missing", reason="not_tried")))

        self.assertIn("slices     0 proved, 0 empty, 1 failed, of 1", lines)
        self.assertIn("failed     7  not_tried", lines)

    def test_names_no_speed_where_no_time_passed(self):
        self.assertIn("time       0.0 s", lines_of(a_manifest(), seconds=0.0))

    def test_shows_ten_failures_and_says_how_many_more(self):
        for failures, shown, last in [
            (10, 10, "failed     9  width"), (11, 10, "           and 1 more, all in the report CSV"),
        ]:  # fmt: skip
            with self.subTest(failures=failures):
                results = [a_result(str(number), "failed", reason="width") for number in range(failures)]
                lines = lines_of(a_manifest(*results))
                self.assertEqual(sum(line.startswith("failed ") for line in lines), shown)
                self.assertEqual(lines[-1], last)

    def test_ends_in_a_sentence_for_each_reason(self):
        said = {"blocked": "403. Wait an hour.", "width": "90 fields"}

        self.assertEqual(
            lines_of(a_manifest(), said=said)[-2:],
            ["because    blocked: 403. Wait an hour.", "because    width: 90 fields"],
        )


class OfPlan(unittest.TestCase):
    def test_says_what_a_run_would_do(self):
        forecast = Forecast(
            companies=1729,
            already_proved=20,
            rows=1_000_000,
            windows=1800,
            requests=4000,
            bytes=572_000_000,
            seconds=4321.5,
        )

        self.assertEqual(
            report.of_plan(a_plan(source_rows=15_498_687), forecast, lake="s3://bucket").splitlines(),
            [
                "release    2026-06-30-9323b84e of general-payments 2024",
                "companies  1,729, 20 of them proved already",
                "rows       1,000,000 of the year's 15,498,687",
                "bytes      about 572,000,000",
                "requests   about 4,000 for 1,800 windows",
                "time       about 4,322 s at the source's usual speed",
                "lake       s3://bucket",
            ],
        )
