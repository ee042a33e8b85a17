import hashlib
import json
import unittest

from data_pipeline import __version__
from data_pipeline.open_payments.ledger.documents import Closure, PayerCount, Plan, Release, SliceResult
from data_pipeline.open_payments.ledger.manifest import (
    closure_of,
    file_audits_of,
    manifest_of,
    moved_of,
    report_of,
    results_from_lake,
    run_status,
    unplanned_of,
    without_moved,
)
from data_pipeline.runs.documents import RunStatus
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    OTHER,
    START,
    a_plan,
    a_release,
    a_result,
    a_selection,
    a_slice,
    an_attempt,
    read_csv,
)

PROVED = a_result(rows=3)
FAILED = a_result(OTHER, "failed", reason="blocked")


def closure(*, closed: bool) -> Closure:
    return Closure(closed=closed, source_rows=3, proved_rows=3, companies_proved=1, confirmed=closed, note="")


class ResultsFromLake(unittest.TestCase):
    def test_a_manifest_has_what_this_process_knows_before_what_the_lake_says(self):
        known = a_result(COMPANY, "failed", reason="drifted", requests=9)

        found = results_from_lake(a_plan(), {COMPANY: a_slice()}, [an_attempt()], {COMPANY: known})

        self.assertEqual(found, (known,))

    def test_a_manifest_takes_an_audit_with_what_its_parts_cost(self):
        (found,) = results_from_lake(a_plan({COMPANY: 7}), {COMPANY: a_slice(parts=3)}, [an_attempt()], {})

        self.assertEqual(
            found,
            SliceResult(
                company_id=COMPANY, verdict="proved", rows_expected=7, rows=9, bytes=900,
                requests=6, retries=3, seconds=3.75,
            ),
        )  # fmt: skip

    def test_a_manifest_rounds_seconds_to_the_millisecond(self):
        (found,) = results_from_lake(a_plan(), {COMPANY: a_slice(parts=3, seconds=0.1)}, [], {})

        self.assertEqual(found.seconds, 0.3)

    def test_a_manifest_takes_the_verdict_of_an_empty_slice(self):
        (found,) = results_from_lake(a_plan(), {COMPANY: a_slice(records=0)}, [], {})

        self.assertEqual((found.verdict, found.reason), ("empty", ""))

    def test_a_manifest_takes_the_reason_of_the_last_final_attempt(self):
        attempts = [
            an_attempt(reason="width"),
            an_attempt(reason="blocked"),
            an_attempt(reason="header", final=False),
            an_attempt(OTHER, reason="conflict"),
        ]

        (found,) = results_from_lake(a_plan({COMPANY: None}), {}, attempts, {})

        self.assertEqual(found, SliceResult(company_id=COMPANY, verdict="failed", reason="blocked", rows_expected=None))

    def test_a_manifest_says_missing_where_nobody_tried_to_the_end(self):
        for attempts in ([], [an_attempt(final=False)]):
            with self.subTest(attempts=len(attempts)):
                (found,) = results_from_lake(a_plan(), {}, attempts, {})
                self.assertEqual(
                    found, SliceResult(company_id=COMPANY, verdict="missing", reason="not_tried", rows_expected=3)
                )

    def test_a_manifest_has_a_line_per_planned_slice_in_the_order_of_the_plan(self):
        stranger = a_slice("100000000999")
        plan = a_plan({OTHER: 1, COMPANY: 2, "7": 3})

        found = results_from_lake(plan, {COMPANY: a_slice(), "100000000999": stranger}, [an_attempt("7")], {})

        self.assertEqual(
            [(one.company_id, one.verdict) for one in found], [(OTHER, "missing"), (COMPANY, "proved"), ("7", "failed")]
        )


class ClosureOf(unittest.TestCase):
    def test_the_closure_is_closed_when_all_slices_are_proved_and_sum_to_the_source(self):
        found = closure_of(a_plan(), [a_result(rows=3), a_result(OTHER, "empty")], 3)

        self.assertEqual(
            found,
            Closure(
                closed=True, source_rows=3, proved_rows=3, companies_proved=2, confirmed=True,
                note="the 2 slices sum to the source's 3 rows of 2024; verify proves that no record id is there twice",
            ),
        )  # fmt: skip

    def test_the_closure_is_open_and_says_why(self):
        open_slice = a_result(OTHER, "missing", rows=1)
        cases: list[tuple[Plan, list[SliceResult], int, str]] = [
            (a_plan(), [PROVED, FAILED], 5000,
             "the 1 proved slices sum to 3 rows, the source counts 5,000; 1 slices are not proved"),
            (a_plan(), [PROVED, open_slice], 4,
             "the 1 proved slices sum to 3 rows, the source counts 4; 1 slices are not proved"),
            (a_plan(), [PROVED], 4,
             "the 1 proved slices sum to 3 rows, the source counts 4; "  # noqa: ISC004
             "payers are missing from the plan, or counted twice"),
            (a_plan(slice_of="1/2"), [PROVED, FAILED], 3,
             "the 1 slices sum to the source's 3 rows of 2024; verify proves that no record id is there twice"),
            (a_plan(slice_of="1/2"), [a_result(rows=1200)], 15_498_687,
             "1,200 of the year's 15,498,687 rows; the selection is a part of the year"),
        ]  # fmt: skip
        for plan, results, source_rows, note in cases:
            with self.subTest(note=note):
                found = closure_of(plan, results, source_rows)
                self.assertEqual((found.closed, found.note), (False, note))

    def test_the_closure_says_whether_each_payer_was_compared(self):
        found = closure_of(a_plan(), [PROVED], 3, compared=True)

        self.assertTrue(found.compared)
        self.assertIn("rows of 2024, each as many as it counts of that payer; verify", found.note)

    def test_the_closure_names_in_numbers_the_payers_whose_counts_moved(self):
        results = [a_result(str(number), rows=10) for number in range(7)] + [a_result("7", rows=1200)]
        by_payer = {str(number): 10 + number for number in range(1, 7)} | {"7": 100}

        moved = moved_of([*results, a_result("8", "failed"), a_result("9", "empty")], by_payer)
        found = closure_of(a_plan(), without_moved(results, moved), 131, compared=True, moved=moved)

        self.assertEqual(moved[0], PayerCount(company_id="0", rows=10, source_rows=0))
        self.assertEqual([one.company_id for one in moved], list("01234567"))
        self.assertEqual((found.closed, found.moved, found.proved_rows), (False, moved, 0))
        self.assertIn(
            "8 slices are not proved; counts moved under the release: 7 has 100 rows at the source, 1,200 here, "
            "0 has 0 rows at the source, 10 here, 6 has 16 rows at the source, 10 here, ", found.note,
        )  # fmt: skip
        self.assertTrue(found.note.endswith(", and 3 payers more"), found.note)

    def test_the_closure_names_the_payers_whom_the_plan_of_a_year_lacks(self):
        by_payer = {COMPANY: 3, "20": 1, "7": 4000, "8": 0}

        unplanned = unplanned_of(a_plan(), by_payer)
        found = closure_of(a_plan(), [PROVED], 4004, compared=True, unplanned=unplanned)

        self.assertEqual([(one.company_id, one.rows, one.source_rows) for one in unplanned],
                         [("7", 0, 4000), ("20", 0, 1)])  # fmt: skip
        self.assertEqual(
            found.note,
            "the 1 proved slices sum to 3 rows, the source counts 4,004; 2 payers are not in the plan: "
            "7 has 4,000 rows at the source, 0 here, 20 has 1 rows at the source, 0 here",
        )
        self.assertEqual((found.closed, found.unplanned), (False, unplanned))
        self.assertFalse(closure_of(a_plan(), [PROVED], 3, unplanned=unplanned).closed, "whatever the sums say")
        self.assertEqual(unplanned_of(a_plan(max_files=1), by_payer), ())

    def test_the_closure_counts_a_slice_that_moved_as_failed(self):
        results = [
            a_result(rows=3, bytes=300, requests=2),
            a_result(OTHER, rows=3, generation=2),
            a_result("7", "empty"),
            a_result("8", "empty"),
            a_result("9", "failed", reason="width"),
        ]
        moved = moved_of(results, {COMPANY: 4, OTHER: 2, "8": 1, "9": 5})

        found = without_moved(results, moved)

        self.assertEqual([(one.verdict, one.reason, one.requests) for one in found],
                         [("failed", "grew", 2), ("failed", "shrank", 0), ("empty", "", 0), ("failed", "grew", 0),
                          ("failed", "width", 0)])  # fmt: skip
        self.assertEqual({(one.rows, one.bytes) for one in found}, {(0, 0)})
        closed = closure_of(a_plan(), found, 6, moved=moved)
        self.assertEqual(run_status(a_plan(), found[:2], closed, a_release()), "partial", "both are in the lake")

    def test_the_closure_is_open_while_a_slice_is_not_proved_even_if_the_rows_sum(self):
        found = closure_of(a_plan(), [PROVED, FAILED], 3)

        self.assertFalse(found.closed)
        self.assertEqual((found.proved_rows, found.companies_proved), (3, 1))

    def test_the_closure_is_open_where_no_count_from_outside_confirms_the_table(self):
        cases = [
            (None, False, "nothing outside the table confirms that it is whole"),
            (None, True, "nothing outside the table confirms that it is whole"),
            (4, False, "a count from outside the table has 4 rows: it is still being imported"),
            (4, True, "a count from outside the table has 4 rows: it is still being imported"),
            (3, True, "planned with --trust-count while it was still being imported: run the same command again"),
            (3, False, ""),
        ]
        for rows, trusted, note in cases:
            with self.subTest(rows=rows, trusted=trusted):
                plan = a_plan(reference_rows=rows).model_copy(update={"trusts_count": trusted})
                found = closure_of(plan, [PROVED], 3)
                self.assertEqual((found.closed, found.confirmed), (not note, not note))
                self.assertTrue(found.note.endswith(note or "no record id is there twice"), found.note)

    def test_the_closure_is_open_where_a_reference_count_is_clearly_larger_than_the_table(self):
        short, fits = a_plan(reference_rows=4), a_plan(reference_rows=3)

        found = closure_of(short, [PROVED], 3)

        self.assertFalse(found.closed)
        self.assertIn("has 4 rows: it is still being imported", found.note)
        self.assertTrue(closure_of(fits, [PROVED], 3).closed)
        self.assertTrue(closure_of(short, [a_result(rows=4)], 4).closed, "it was finished meanwhile")


class StatusOf(unittest.TestCase):
    def test_the_status_says_how_a_run_ended(self):
        later = a_release(distribution_id="99999999-cda3-5f6b-a501-b76926c7c035")
        renamed = a_release(modified="2026-07-01")
        whole, part = a_plan(), a_plan(max_files=1)
        half, confirmed = a_plan(max_files=1, reference_rows=4), a_plan(max_files=1, reference_rows=3)
        trusted = confirmed.model_copy(update={"trusts_count": True})
        empty = a_result(OTHER, "empty")
        cases: list[tuple[Plan, list[SliceResult], bool, Release, RunStatus]] = [
            (whole, [PROVED, empty], True, a_release(), "completed"),
            (whole, [PROVED], True, renamed, "completed"),
            (whole, [PROVED], False, a_release(), "partial"),
            (part, [PROVED], False, a_release(), "completed"),
            (trusted, [PROVED], False, a_release(), "partial"),
            (part, [empty], False, a_release(), "completed"),
            (half, [PROVED], False, a_release(), "partial"),
            (confirmed, [PROVED], False, a_release(), "completed"),
            (part, [PROVED, FAILED], False, a_release(), "partial"),
            (part, [empty, FAILED], False, a_release(), "partial"),
            (whole, [FAILED], False, a_release(), "failed"),
            (part, [FAILED, a_result("7", "missing")], False, a_release(), "failed"),
            (whole, [PROVED], True, later, "torn"),
            (part, [FAILED], False, later, "torn"),
        ]
        for plan, results, closed, at_end, status in cases:
            with self.subTest(status=status, results=[one.verdict for one in results]):
                self.assertEqual(run_status(plan, results, closure(closed=closed), at_end), status)


class FileAuditsOf(unittest.TestCase):
    def test_the_list_of_audits_has_a_line_per_part_in_order_of_company_and_part(self):
        lines = file_audits_of([a_slice("1000"), a_slice("20", parts=3), a_slice("9")]).splitlines()

        found = [(one["company_id"], one["window"]["number"]) for one in map(json.loads, lines)]
        self.assertEqual(found, [("9", 1), ("20", 1), ("20", 2), ("20", 3), ("1000", 1)])

    def test_the_list_of_audits_is_empty_without_audits_and_ends_in_a_line_end_with_some(self):
        self.assertEqual(file_audits_of([]), b"")
        self.assertTrue(file_audits_of([a_slice()]).endswith(b"}\n"))


class ReportOf(unittest.TestCase):
    def test_the_report_has_the_columns_of_the_design_and_a_line_per_slice(self):
        """S1.4: download_report_{year}.csv."""
        results = [
            a_result(rows=3, bytes=300, requests=2, retries=1, seconds=1.25),
            a_result(OTHER, "failed", reason="rows_missing", rows_expected=None),
        ]

        self.assertEqual(
            report_of(results, {COMPANY: a_slice(), OTHER: None}).decode(),  # type: ignore[dict-item]
            "company_id,verdict,reason,rows_expected,rows,bytes,sha256,requests,retries,seconds\n"
            f"100000000053,proved,,3,3,300,{1:064x},2,1,1.25\n"
            "100000000066,failed,rows_missing,,0,0,,0,0,0.0\n",
        )

    def test_the_report_gives_a_slice_of_several_parts_the_hash_of_their_hashes(self):
        (line,) = read_csv(report_of([PROVED], {COMPANY: a_slice(parts=2)}))

        self.assertEqual(line["sha256"], hashlib.sha256(f"{1:064x}\n{2:064x}".encode()).hexdigest())

    def test_the_report_keeps_a_reason_with_a_comma_in_one_field(self):
        (line,) = read_csv(report_of([a_result(OTHER, "failed", reason="a, b")], {}))

        self.assertEqual(line["reason"], "a, b")


class ManifestOf(unittest.TestCase):
    def test_the_manifest_has_the_fields_that_schedulers_read_and_what_proves_them(self):
        """S2.4: the contract for schedulers, backfills and monitoring."""
        results = (a_result(rows=3, bytes=300), a_result(OTHER, "empty"), FAILED, a_result("7", "missing"))
        lines = b"one\ntwo\n"
        plan = a_plan(max_files=4)
        later = a_release(distribution_id="99999999-cda3-5f6b-a501-b76926c7c035")

        found = manifest_of(
            plan, results, closure(closed=False), release_at_end=later, file_audits=lines, now=START
        ).model_dump()

        self.assertEqual(
            {name: found[name] for name in found if name not in ("slices", "closure", "release_at_end", "release")},
            {
                "schema_version": 1,
                "run_id": "r1",
                "dataset": "general-payments",
                "year": 2024,
                "files_planned": 4,
                "files_downloaded": 2,
                "files_failed": 2,
                "status": "torn",
                "selection": a_selection(max_files=4).model_dump(),
                "totals": {"empty": 1, "failed": 1, "missing": 1, "proved": 1},
                "rows": 3,
                "bytes": 300,
                "file_audits": 2,
                "file_audits_sha256": hashlib.sha256(lines).hexdigest(),
                "created_at": START,
                "finished_at": START,
                "software": {"data_pipeline": __version__},
            },
        )
        self.assertEqual(list(found["totals"]), sorted(found["totals"]))
        self.assertEqual((found["release"], found["release_at_end"]), (plan.release.model_dump(), later.model_dump()))
        self.assertEqual([one["verdict"] for one in found["slices"]], ["proved", "empty", "failed", "missing"])
        self.assertEqual(found["closure"], closure(closed=False).model_dump())
