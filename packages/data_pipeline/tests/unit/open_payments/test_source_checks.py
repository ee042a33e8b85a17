import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from data_pipeline.doctor.lake import LAKE_CHECKS
from data_pipeline.open_payments.assumptions import SOURCE_CHECKS
from data_pipeline.open_payments.datasets import GENERAL, OWNERSHIP
from data_pipeline.open_payments.source_checks import SourceDoctor, examine, questions
from etl_core.errors import AccessError, UsageError
from etl_core.lake import Body, PutResult
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    DATE_OF_PAYMENT,
    NEVER,
    OTHER,
    PAYER_ID,
    START,
    Asked,
    Change,
    Reply,
    World,
    WorldCase,
    blocks,
    edits,
    nobody_answers,
    payments,
    says,
    sends,
)

LONG, TINY, LARGE = OTHER, "100000000070", "100000000071"
DAYS = [f"{month:02}/15/2024" for month in range(1, 13)]
# A row of the small company, in any order of rows.
ROW = re.compile(rb"NEW,100000000053,[^\n]*,54000007,[^\n]*\n")
ROWS = payments(COMPANY, 40, days=DAYS) + payments(LONG, 5_010, days=DAYS) + payments(TINY, 3, days=DAYS)
PAYER, DAY = PAYER_ID.lower(), DATE_OF_PAYMENT.lower()


def about(company_id: str) -> Callable[[Asked], bool]:
    return lambda asked: asked["conditions[0][value]"] == company_id


def when(**wanted: str) -> Callable[[Asked], bool]:
    """``limit="500"``, and brackets as double underscores: ``conditions__1__operator``."""
    named = {re.sub(r"__(\w+?)(?=__|$)", r"[\1]", name): value for name, value in wanted.items()}
    return lambda asked: all(asked[name] == value for name, value in named.items())


def with_headers(**headers: str) -> Change:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda real: replace(real, headers=real.headers | named)


def without(pattern: re.Pattern[bytes]) -> Change:
    return edits(lambda body: pattern.sub(b"", body))


def swaps(old: bytes, new: bytes, times: int = -1) -> Change:
    return edits(lambda body: body.replace(old, new, times))


def in_row(old: bytes, new: bytes) -> Change:
    return edits(lambda body: ROW.sub(lambda row: row[0].replace(old, new), body))


def changed_json(change: Callable[[Any], Any]) -> Change:
    def apply(body: bytes) -> bytes:
        answer = json.loads(body)
        change(answer)
        return json.dumps(answer).encode()

    return edits(apply)


def cut_after(rows: int, then: bytes = b"") -> Change:
    return edits(lambda body: b"".join(line + b"\n" for line in body.split(b"\n")[: rows + 1]) + then)


class SourceCase(WorldCase):
    """A site that passes every check until a test changes it."""

    def setUp(self) -> None:
        self.world = World(attempts=1)
        self.addCleanup(self.world.close)
        self.site.publish(2024, ROWS)
        self.site.summarise(y2024=len(ROWS))
        self.downloads: list[tuple[Callable[[Asked], bool], Change]] = []

    def download(self, change: Change, which: Callable[[Asked], bool] = lambda _asked: True) -> None:
        """Change the downloads of a kind, beside all that others change."""
        self.downloads.append((which, change))

    dataset = GENERAL

    def examine(self, year: int | None = None) -> tuple[dict[str, Any], int]:
        cached = with_headers(Cache_Control="max-age=3600, public")
        self.site.fault("download", self._changed(cached), NEVER, when=self._seen)
        self.said: list[str] = []
        return examine(
            self.store, self.world.source, self.dataset, year, of_lake=False, now=self.world.now, say=self.said.append
        )

    def _seen(self, asked: Asked) -> bool:
        self.last = asked
        return True

    def _changed(self, cached: Change) -> Change:
        def apply(real: Reply) -> Reply:
            reply = cached(real)
            for which, change in self.downloads:
                if which(self.last):
                    reply = change(reply)
            return reply

        return apply

    def failed(self) -> set[str]:
        fact, _ = self.examine()
        self.assertEqual(fact["source_checks"]["no_answer"], [])
        return set(fact["source_checks"]["failed"])


class SourceWithoutDates(SourceCase):
    """A dataset that is never cut, and that the script does not name."""

    dataset = OWNERSHIP

    def test_checks_of_what_the_dataset_lacks_are_skipped(self):
        self.site.publish(2024, [row[:2] + row[3:] for row in ROWS], dataset=OWNERSHIP)
        self.site.summarise("trans_invested", y2024=len(ROWS))

        fact, status = self.examine()

        self.assertEqual((status, fact["dataset"], fact["year"]), (0, "ownership-payments", 2024))
        checks = fact["source_checks"]
        self.assertEqual(checks["skipped"], ["script", "date_ranges_as_text", "window_counts_tile"])
        self.assertEqual((checks["failed"], checks["no_answer"]), ([], []))
        self.assertNotIn("script", self.site.kinds())


class HealthySource(SourceCase):
    def test_a_healthy_source_passes_every_check(self):
        fact, status = self.examine()

        ids = [one.id for one in SOURCE_CHECKS]
        self.assertEqual((status, fact["status"]), (0, "passed"))
        self.assertEqual(fact["source_checks"], {
            "passed": len(ids), "failed": [], "skipped": [], "no_answer": [],
        })  # fmt: skip
        self.assertEqual([line.split(":")[0].split()[-1] for line in self.said], ids)

    def test_the_source_gets_at_most_25_requests_and_none_twice(self):
        self.examine()

        self.assertLessEqual(len(self.site.asked), 25)
        once = [asked for asked in self.site.asked if asked.kind not in ("download", "groups", "rows")]
        self.assertEqual(len(once), len(set(once)))

    def test_a_year_with_more_payers_gets_no_more_requests(self):
        payers = [row for number in range(3_000) for row in payments(str(200_000_000_000 + number), 1)]
        self.site.publish(2024, ROWS + payers)
        self.site.summarise(y2024=len(ROWS) + len(payers))
        fact, status = self.examine()

        self.assertLessEqual(len(self.site.asked), 25)
        self.assertEqual((status, fact["source_checks"]["failed"]), (0, []))
        self.assertIn("grouped_counts_sum", fact["source_checks"]["skipped"])

    def test_only_small_companies_are_downloaded(self):
        self.site.publish(2024, ROWS + payments(LARGE, 12_001, days=DAYS))
        self.examine()

        asked = {asked["conditions[0][value]"] for asked in self.site.of_kind("download")}
        self.assertEqual(asked, {COMPANY, LONG, "0"})

    def test_long_answers_are_skipped_if_no_company_is_just_above_5000_rows(self):
        rows = [row for row in ROWS if row[1] != LONG]
        self.site.publish(2024, rows)
        self.site.summarise(y2024=len(rows))
        fact, status = self.examine()

        self.assertEqual(status, 0)
        self.assertEqual(fact["source_checks"]["skipped"], ["long_answers", "unsorted_answer_complete"])

    def test_an_answer_longer_than_the_company_is_not_read_to_the_end(self):
        self.download(edits(lambda body: body * 30), about(LONG))

        self.assertEqual(self.failed(), {"long_answers"})
        self.assertIn("the rest was not read", "".join(self.said))

    def test_the_year_asked_for_is_checked_else_the_newest(self):
        self.site.publish(2023, payments(COMPANY, 30))
        self.assertEqual(self.examine(2023)[0]["year"], 2023)
        self.assertEqual(self.examine()[0]["year"], 2024)

    def test_a_year_that_the_source_lacks_is_a_usage_error(self):
        with self.assertRaisesRegex(UsageError, "no program year 1999 of general-payments; it has 2024"):
            self.examine(1999)


class EachCheck(SourceCase):
    def test_a_changed_answer_fails_its_own_check_only(self):
        cases: list[tuple[str, str, Change, Callable[[Asked], bool]]] = [
            ("catalogue", "catalogue", sends([]), when()),
            ("catalogue", "catalogue", sends({"message": "hello"}), when()),
            ("catalogue", "catalogue", says(404), when()),
            ("script", "script", sends("nothing"), when()),
            ("script", "script", says(404), when()),
            ("dataset_resolves", "table", says(404), when()),
            ("dataset_resolves", "table", swaps(PAYER_ID.encode(), b"Payer"), when()),
            ("summary_agrees", "sum", sends({"results": [{"rows": "99999"}]}), when()),
            ("rows_500_answered", "rows", changed_json(lambda answer: answer["results"].pop()), when(limit="500")),
            ("rows_500_answered", "rows", says(400), when(limit="500")),
            ("grouped_counts", "groups", says(400, "Database internal error."), when(groupings__0=PAYER)),
            ("grouped_counts", "groups", says(400), when(groupings__0=PAYER)),
            ("grouped_counts", "groups", sends({"results": []}), when(groupings__0=PAYER)),
            ("grouped_counts", "groups", swaps(TINY.encode(), b"a" * 101), when(groupings__0=PAYER)),
            ("grouped_counts_sum", "groups", swaps(b'"rows": "3"', b'"rows": "4"'), when(groupings__0=PAYER)),
            ("date_ranges_as_text", "groups", swaps(b"01/15/2024", b"12/14/2024"), when(groupings__0=DAY)),
            ("window_counts_tile", "count", sends({"count": 7}), when(conditions__1__operator=">=")),
        ]
        for name, kind, change, which in cases:
            with self.subTest(name=name):
                self.setUp()
                self.site.fault(kind, change, NEVER, when=which)
                self.assertEqual(self.failed(), {name})

    def test_a_changed_download_fails_its_own_check_only(self):
        small = about(COMPANY)
        whole = lambda asked: small(asked) and not asked["offset"]  # noqa: E731
        fresh = lambda asked: asked.bypass_cache  # noqa: E731
        later = when(offset="20")
        header = re.compile(rb"\A[^\n]*\n")
        first = lambda body: body.split(b"\n")[1] + b"\n"  # noqa: E731
        again_the_first = lambda body: cut_after(5_009)(Reply(body=body)).body + first(body)  # noqa: E731
        cases: list[tuple[set[str], Change, Callable[[Asked], bool]]] = [
            ({"conditions_honoured"}, in_row(b"0053", b"0066"), small),
            ({"conditions_honoured"}, without(ROW), small),
            ({"header_is_schema"}, swaps(b"Contextual_Information", b"Context"), when()),
            ({"header_is_schema"}, swaps(b",Contextual_Information", b""), when()),
            ({"dialect"}, in_row(b'"', b""), small),
            ({"dialect"}, in_row(b"a lunch", b'a "lunch'), small),
            ({"dialect"}, swaps(b'"a lunch, late"', b"a lunch, late", 1), about(LONG)),
            ({"header_is_schema"}, edits(lambda body: b"\xef\xbb\xbf" + body), when()),
            ({"header_is_schema"}, swaps(b"\n", b"\r\n", 1), when()),
            ({"dialect"}, edits(lambda body: body[:-1]), whole),
            ({"fresh_parameter_ignored"}, with_headers(Age="9"), fresh),
            ({"fresh_parameter_ignored"}, with_headers(X_Cache="TCP_HIT from a1"), fresh),
            ({"fresh_parameter_ignored"}, without(ROW), fresh),
            ({"zero_rows_header_only"}, edits(lambda body: body + b"no rows\n"), about("0")),
            ({"zero_rows_header_only", "download_header"}, sends(b""), about("0")),
            ({"download_header"}, swaps(b"Context", b"Text"), about("0")),
            ({"download_header", "sorted_pages_disjoint"}, edits(lambda body: header.sub(b"", body)), later),
            ({"sorted_pages_disjoint"}, edits(lambda body: body.replace(first(body), b"")), later),
            ({"sorted_pages_disjoint"}, edits(lambda body: body + first(body)), later),
            ({"long_answers"}, cut_after(5_000, b'"SQLSTATE[HY000]: gone away"\n'), about(LONG)),
            ({"long_answers"}, cut_after(5_000), about(LONG)),
            ({"long_answers"}, edits(lambda body: body[:-9]), about(LONG)),
            ({"unsorted_answer_complete"}, edits(lambda body: body.replace(first(body), b"")), about(LONG)),
            ({"unsorted_answer_complete"}, edits(again_the_first), about(LONG)),
        ]  # fmt: skip
        for names, change, which in cases:
            with self.subTest(names=names):
                self.setUp()
                self.download(change, which)
                self.assertEqual(self.failed(), names)

    def test_checks_that_need_a_failed_one_are_skipped(self):
        self.site.fault("groups", says(400, "Database internal error."), NEVER)
        fact, status = self.examine()

        self.assertEqual(status, 0)
        self.assertEqual(fact["source_checks"]["failed"], ["grouped_counts"])
        self.assertIn("conditions_honoured", fact["source_checks"]["skipped"])
        self.assertEqual([asked["conditions[0][value]"] for asked in self.site.of_kind("download")], ["0"])

    def test_a_required_check_that_fails_is_status_3_with_a_remedy(self):
        self.download(edits(lambda body: body.replace(b"Context", b"Text")))
        fact, status = self.examine()

        self.assertEqual((status, fact["status"]), (3, "failed"))
        (line,) = [line for line in self.said if line.startswith("FAILED")]
        (one,) = [one for one in SOURCE_CHECKS if one.id == "header_is_schema"]
        self.assertIn("Textual_Information", line)
        self.assertTrue(line.endswith(one.remedy))

    def test_every_check_has_a_question_and_a_remedy(self):
        ids = [one.id for one in (*SOURCE_CHECKS, *LAKE_CHECKS)]
        self.assertEqual(len(ids), len(set(ids)))
        for one in (*SOURCE_CHECKS, *LAKE_CHECKS):
            with self.subTest(one=one.id):
                self.assertTrue(one.question.endswith("?"))
                self.assertTrue(one.remedy.endswith("."))

    def test_questions_are_listed_without_asking_anything(self):
        self.assertEqual(len(questions(of_lake=True, of_source=True)), len(SOURCE_CHECKS) + len(LAKE_CHECKS))
        self.assertEqual(len(questions(of_lake=False, of_source=True)), len(SOURCE_CHECKS))
        self.assertEqual(
            questions(of_lake=True, of_source=False)[0], "writable: Can an object be written and read back?"
        )


class OverloadedSource(SourceCase):
    def test_an_overloaded_source_gets_no_further_request(self):
        for name, change in [("503", says(503, Retry_After="120")), ("blocked", blocks), ("gone", nobody_answers)]:
            with self.subTest(name):
                self.setUp()
                self.site.fault("groups", change, NEVER)
                fact, status = self.examine()

                self.assertEqual((status, fact["status"], fact["source_checks"]["failed"]), (4, "no answer", []))
                self.assertEqual(fact["source_checks"]["no_answer"][0], "grouped_counts")
                self.assertIn("unsorted_answer_complete", fact["source_checks"]["no_answer"])
                self.assertEqual(self.site.kinds()[-1], "groups")

    def test_a_required_failure_before_the_overload_is_status_3(self):
        self.site.fault("table", says(404))
        self.site.fault("script", says(404))
        self.assertEqual(self.examine()[1], 3)
        self.setUp()
        self.site.fault("sum", sends({"results": [{"rows": "99999"}]}))
        self.site.fault("groups", says(500))
        self.assertEqual(self.examine()[1], 3)


class Report(SourceCase):
    def test_the_report_is_stored_in_the_lake_with_remedies(self):
        self.site.fault("script", sends("nothing"))
        fact, _ = self.examine()

        self.assertEqual(fact["report"], f"metadata/doctor/source-{START:%Y-%m-%dT%H-%M-%S-%f}.json")
        report = json.loads(self.store.get(fact["report"]) or b"")
        self.assertEqual((report["schema_version"], report["year"]), (1, 2024))
        found = {one["id"]: one for one in report["findings"]}
        self.assertEqual(list(found), [one.id for one in SOURCE_CHECKS])
        self.assertEqual(found["script"]["verdict"], "failed")
        self.assertIn("names no year", found["script"]["found"])
        self.assertIn("no run can begin", found["script"]["remedy"])
        self.assertEqual(found["catalogue"]["verdict"], "passed")

    def test_findings_are_printed_even_if_the_report_cannot_be_stored(self):
        class Full(MemoryStore):
            def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
                raise AccessError("the disk is full.")

        said: list[str] = []
        fact, status = examine(
            Full(), self.world.source, GENERAL, None, of_lake=False, now=self.world.now, say=said.append
        )
        self.assertEqual((status, fact["report"]), (0, ""))
        self.assertEqual(said[-1], "the report of the source could not be stored: the disk is full.")
        self.assertEqual(len(said), len(SOURCE_CHECKS) + 1)


class LakeAndSource(SourceCase):
    def test_lake_and_source_are_examined_together(self):
        said: list[str] = []
        fact, status = examine(
            self.store, self.world.source, GENERAL, None, of_lake=True, now=lambda: datetime.now(UTC), say=said.append
        )
        passed = len(LAKE_CHECKS) - 1  # a lake in memory has no free space to check
        self.assertEqual((status, fact["lake_checks"]["passed"]), (0, passed))
        self.assertEqual(len(said), len(LAKE_CHECKS) + len(SOURCE_CHECKS))

    def test_no_table_is_named_before_one_was_found(self):
        nothing = {"dataset": "general-payments", "year": 2024, "distribution_id": None}
        self.assertEqual(SourceDoctor(self.world.source, GENERAL, 2024).about, nothing)
