import hashlib
import json
from collections.abc import Callable
from typing import Any

from data_pipeline import __version__, lake_layout
from data_pipeline.open_payments.fetch.task import DriftedError, NotProvedError, ReleaseGoneError, WindowTask, reason_of
from data_pipeline.open_payments.fetch.window import Strategy, WindowFetcher
from data_pipeline.open_payments.ledger.audits import Audits, keys_of, read_attempts
from data_pipeline.open_payments.ledger.documents import Audit
from data_pipeline.open_payments.windows import Window
from etl_core.errors import (
    AccessError,
    BlockedError,
    ConflictError,
    DataError,
    PermanentError,
    StoppedError,
    TemporaryError,
    UnavailableError,
    UnreachableError,
)
from etl_core.lake import PutResult
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    OTHER,
    START,
    TITLES,
    Change,
    Reply,
    World,
    WorldCase,
    a_task,
    an_audit,
    blocks,
    dies,
    edits,
    nobody_answers,
    payments,
    replaces,
    says,
    sends,
)

CONDITION = f"applicable_manufacturer_or_applicable_gpo_making_payment_id = {COMPANY}"


class DownloadCase(WorldCase):
    rows = 3

    def setUp(self) -> None:
        super().setUp()
        self.table = self.site.publish(2024, payments(COMPANY, self.rows) + payments(OTHER, 2))
        self.resolved = self.world.resolved(self.table)
        self.audits = Audits(self.store, self.resolved.release)
        self.site.asked.clear()

    def prove(self, strategy: Strategy = "auto", task: WindowTask | None = None, **window: Any) -> Audit:
        self.task = task or a_task(self.resolved, **window)
        return self.fetcher(strategy).prove(self.task)

    def fetcher(self, strategy: Strategy = "auto", store: MemoryStore | None = None) -> WindowFetcher:
        return WindowFetcher(
            self.world.source,
            store or self.store,
            self.audits,
            retry=self.world.retry,
            progress=self.world.progress,
            now=self.world.now,
            strategy=strategy,
            streams=2,
        )

    @property
    def part(self) -> str:
        return keys_of(self.resolved.release, COMPANY).part(1, 1)

    @property
    def part_audit(self) -> str:
        return keys_of(self.resolved.release, COMPANY).part_audit(1, 1)

    def reasons(self) -> list[str]:
        """Of the failed attempts in the lake, in order."""
        return [attempt.reason for attempt in read_attempts(self.store, "r1")]

    def assert_nothing_is_left(self) -> None:
        folder = self.store.scratch_file().parent
        self.assertEqual(list(folder.iterdir()), [])


class Proved(DownloadCase):
    def test_a_proved_window_publishes_the_part_then_its_audit(self):
        audit = self.prove()

        self.assertEqual(self.store.writes, [self.part, self.part_audit])
        body = self.store.get(self.part) or b""
        self.assertEqual(
            audit.model_dump(exclude={"seconds", "url", "content_hash"}),
            {
                "schema_version": 1,
                "release": self.resolved.release.model_dump(),
                "company_id": COMPANY,
                "window": {"number": 1, "of": 1, "low": "", "high": ""},
                "generation": 1,
                "key": self.part,
                "condition": CONDITION,
                "strategy": "window",
                "verdict": "proved",
                "records": 3,
                "bytes": len(body),
                "sha256": hashlib.sha256(body).hexdigest(),
                "dialect": "rfc4180",
                "header_hash": hashlib.sha256(",".join(TITLES).encode()).hexdigest(),
                "count_before": 3,
                "count_after": 3,
                "started_at": START,
                "proved_at": START,
                "requests": 3,
                "retries": 0,
                "software": {"data_pipeline": __version__},
            },
        )
        self.assertEqual(json.loads(self.store.get(self.part_audit) or b""), audit.model_dump(mode="json"))
        self.assertIn(f"/{self.table.distribution_id}/download?", audit.url)
        self.assert_nothing_is_left()

    def test_a_window_requests_count_rows_and_count_with_one_condition(self):
        self.prove()

        self.assertEqual(self.site.kinds(), ["count", "download", "count"])
        for asked in self.site.asked:
            self.assertEqual(asked["conditions[0][value]"], COMPANY)
            self.assertEqual(asked["conditions[0][property]"], CONDITION.split(" ", maxsplit=1)[0])
        self.assertFalse(self.site.asked[1].bypass_cache)

    def test_a_known_count_is_not_requested_again(self):
        self.prove(expected=3)

        self.assertEqual(self.site.kinds(), ["download", "count"])

    def test_a_window_without_rows_is_proved_empty(self):
        self.table.rows = payments(OTHER, 2)

        audit = self.prove()

        self.assertEqual((audit.verdict, audit.records, audit.count_after), ("empty", 0, 0))
        self.assertEqual(self.store.get(self.part), (",".join(TITLES) + "\n").encode())

    def test_a_part_holds_the_rows_of_its_window_only(self):
        self.table.rows = payments(COMPANY, 6, days=["01/15/2024", "04/30/2024", "11/30/0002"])
        for window, records in [
            (Window(1, 3, "", "04/02"), 2),
            (Window(2, 3, "04/02", "07/02"), 2),
            (Window(3, 3, "07/02", ""), 2),
        ]:
            with self.subTest(window=window.number):
                audit = self.prove(window=window)
                self.assertEqual((audit.records, audit.key[-15:]), (records, f"part-{window.number}-of-3.csv"))
                self.assertEqual((audit.window.low, audit.window.high), (window.low, window.high))
                self.assertIsNone(audit.count_after)
        self.assertEqual(audit.condition, f"{CONDITION} and date_of_payment >= 07/02")

    def test_a_proof_of_other_bounds_under_the_same_key_proves_nothing(self):
        self.table.rows = payments(COMPANY, 6, days=["01/15/2024", "04/30/2024", "11/30/0002"])
        first = self.prove(window=Window(1, 2, "", "07/02"))

        second = self.prove(window=Window(1, 2, "", "04/02"))

        self.assertEqual((first.records, first.generation), (4, 1))
        self.assertEqual((second.records, second.generation, second.window.high), (2, 2, "04/02"))

    def test_a_window_proved_before_is_not_fetched_again(self):
        """S2.3: nothing finished is downloaded again."""
        first = self.prove()
        self.site.asked.clear()
        shown = self.world.progress.rows

        self.assertEqual(self.prove(), first)

        self.assertEqual(self.site.asked, [])
        self.assertEqual(self.world.progress.rows, shown + 3)

    def test_a_window_whose_count_changed_is_proved_again_beside_the_first_proof(self):
        first = self.prove()
        self.table.rows += payments(COMPANY, 1, first=9)
        self.site.asked.clear()

        second = self.prove(expected=4)

        self.assertEqual(self.site.kinds(), ["count", "download", "count"])
        self.assertEqual((second.generation, second.records, second.key), (2, 4, self.part.replace(".csv", ".2.csv")))
        self.assertEqual(self.audits.window_proofs(COMPANY, first.window), ([first, second], [3]))
        self.assertEqual(self.world.parts(), [second.key, self.part])
        self.assertEqual([self.prove(expected=rows).generation for rows in (4, 3, None)], [2, 2, 2])
        self.assertEqual(self.site.kinds()[3:], ["count"], "the count may be the one that is old")
        self.table.rows = self.table.rows[:3]
        self.assertEqual(self.prove(expected=3), first, "a count that came back finds its proof")

    def test_a_proof_of_a_withdrawn_release_is_not_counted_again(self):
        self.prove()
        del self.site.tables[self.table.dataset_id]

        with self.assertRaises(ReleaseGoneError):
            self.prove(expected=4)
        self.assertEqual(self.reasons(), ["release_gone"])

    def test_a_header_of_machine_names_is_accepted(self):
        self.site.fault("download", replaces(",".join(TITLES), ",".join(self.table.names)))

        self.assertEqual(self.prove().records, 3)
        self.assertEqual(self.reasons(), [])

    def test_a_table_without_the_volatile_columns_is_proved(self):
        """A release that lacks Change_Type has drifted from what we know, not from its own schema."""
        kept = [index for index, title in enumerate(TITLES) if title not in ("Change_Type", "Payment_Publication_Date")]
        rows = [tuple(row[index] for index in kept) for row in self.table.rows]
        full = self.prove()

        self.table = self.site.publish(2024, rows, titles=tuple(TITLES[index] for index in kept))
        self.resolved = self.world.resolved(self.table)
        self.audits = Audits(self.store, self.resolved.release)

        self.assertEqual(self.prove().content_hash, full.content_hash)

    def test_an_audit_has_the_requests_of_all_attempts_and_the_time_of_its_own(self):
        self.site.fault("download", dies)

        audit = self.prove()

        self.assertEqual((audit.requests, audit.retries), (5, 1))
        self.assertEqual((audit.started_at, audit.proved_at), (self.world.now(), self.world.now()))
        self.assertGreater(self.task.seconds, 0)

    def test_progress_shows_the_rows_of_failed_attempts_once(self):
        self.site.fault("download", edits(lambda body: body.replace(b"NEW", b"NEW,NEW", 1)))
        self.site.fault("download", lambda real: Reply(200, real.body[:-30], "text/csv"))

        self.prove()

        self.assertEqual(self.world.progress.rows, 3)
        self.assertGreater(self.world.progress.bytes_read, len(self.store.get(self.part) or b""))


def without_last_row(body: bytes) -> bytes:
    return body[: body.rstrip().rfind(b"\n") + 1]


def with_first_row_again(body: bytes) -> bytes:
    """As many rows as before, one of them twice: what unsorted pages do."""
    lines = body.splitlines(keepends=True)
    return b"".join([*lines[:2], *lines[1:2], *lines[3:]])


class Refused(DownloadCase):
    """Status 200 proves nothing."""

    def fails_once(self, change: Change, reason: str, kind: str = "download", times: int = 1) -> None:
        self.setUp()
        self.site.fault(kind, change, times)
        audit = self.prove()
        self.assertEqual(self.reasons(), [reason])
        self.assertEqual((audit.records, audit.retries), (3, times))
        self.assertEqual(self.world.parts(), [self.part])
        self.assertEqual(self.world.progress.rows, 3)
        self.assert_nothing_is_left()

    def test_an_answer_that_is_not_complete_and_right_is_refused(self):
        header = ",".join(TITLES).encode() + b"\n"
        extra = ",".join(payments(COMPANY, 1, first=9)[0]).replace("a lunch, late", "x").encode() + b"\n"
        changes: list[tuple[str, Callable[[bytes], bytes]]] = [
            ("no_header", lambda _body: b""),
            ("header", lambda body: body.replace(b"Record_ID", b"Record")),
            ("header", lambda body: b"x" + body),
            ("error_row", lambda body: without_last_row(body) + b'"SQLSTATE[HY000]: General error"\n'),
            ("width", lambda body: body.replace(b"NEW", b"NEW,NEW", 1)),
            ("malformed", lambda body: body.replace(b'"a lunch, late"', b'"a "lunch" x"', 1)),
            ("truncated", lambda body: body[:-20]),
            ("foreign", lambda body: body.replace(COMPANY.encode(), OTHER.encode(), 1)),
            ("repeated_key", with_first_row_again),
            ("rows_missing", without_last_row),
            ("rows_missing", lambda _body: header),
            ("rows_extra", lambda body: body + extra),
            ("rows_extra", lambda body: body + extra + b"not a record at all"),
        ]
        for reason, change in changes:
            with self.subTest(reason=reason):
                self.fails_once(edits(change), reason)

    def test_a_row_outside_the_window_is_refused(self):
        self.table.rows = payments(COMPANY, 2, days=["01/15/2024", "04/02/2024"])
        self.site.fault("download", edits(lambda body: body.replace(b"04/02", b"04/01")))

        audit = self.prove(window=Window(2, 2, "04/02", ""))

        self.assertEqual((self.reasons(), audit.records), (["foreign"], 1))

    def test_an_answer_that_breaks_off_or_never_comes_is_unavailable(self):
        for change in (dies, says(500), says(502), nobody_answers, says(400, "Database internal error.")):
            with self.subTest():
                self.fails_once(change, "unavailable")

    def test_a_missing_count_is_unavailable(self):
        self.fails_once(says(500), "unavailable", "count", self.world.retry._policy.attempts)

    def test_a_count_that_changed_during_the_download_is_refused(self):
        """Asked twice before a good file is thrown away for it."""
        self.site.fault("count", sends({"count": 4}), 1, when=lambda _asked: "download" in self.site.kinds())
        self.assertEqual(self.prove().count_after, 3)
        self.assertEqual((self.reasons(), self.site.kinds()), ([], ["count", "download", "count", "count"]))

        self.setUp()
        self.site.fault("count", sends({"count": 4}), 2, when=lambda _asked: "download" in self.site.kinds())
        self.assertEqual(self.prove().count_after, 3)
        self.assertEqual(self.reasons(), ["count_moved"])
        (attempt,) = read_attempts(self.store, "r1")
        self.assertEqual((attempt.records, attempt.count_before), (3, 3))
        self.assertEqual(attempt.detail, "3 records as counted before, the source now counts 4")
        self.assertEqual(self.world.progress.rows, 3)
        self.assert_nothing_is_left()

    def test_a_retried_window_bypasses_caches_for_count_and_rows(self):
        self.prove(expected=2)  # a count of the day before yesterday

        self.assertEqual(self.reasons(), ["rows_extra"])
        self.assertEqual(self.site.kinds(), ["download", "count", "download", "count"])
        self.assertEqual([asked.bypass_cache for asked in self.site.of_kind("download")], [False, True])
        (attempt,) = read_attempts(self.store, "r1")
        self.assertEqual((attempt.count_before, attempt.detail), (2, "more than 2 records, the source counts 2"))

    def test_an_answer_is_read_no_further_than_one_record_too_many(self):
        """Conditions ignored could mean gigabytes."""
        self.table.rows = payments(COMPANY, 20_000)

        once = World(attempts=1)
        self.addCleanup(once.close)
        self.world.retry = once.retry

        with self.assertRaises(NotProvedError):
            self.prove(expected=5)

        self.assertLess(self.task.tally.bytes, 600_000)
        self.assertEqual(self.world.progress.rows, 0)

    def test_attempts_back_off_and_stop_after_the_last(self):
        self.site.fault("download", edits(without_last_row), NEVER)

        with self.assertRaises(NotProvedError) as caught:
            self.prove("window")

        self.assertEqual(caught.exception.reason, "rows_missing")
        self.assertEqual(self.world.clock.slept, [1.0, 2.0, 4.0])
        self.assertEqual(self.reasons(), ["rows_missing"] * 4)
        self.assertEqual(self.world.parts(), [])
        self.assertEqual(self.world.progress.rows, 0)
        self.assertGreater(self.task.seconds, 0)
        self.assert_nothing_is_left()


class Attempts(DownloadCase):
    def test_a_failed_attempt_is_recorded_with_what_was_found(self):
        self.site.fault("download", edits(without_last_row), NEVER)

        with self.assertRaises(NotProvedError):
            self.prove("window")

        found = read_attempts(self.store, "r1")
        self.assertEqual([(one.attempt, one.final) for one in found], [(1, False), (2, False), (3, False), (4, True)])
        self.assertEqual(
            found[-1].model_dump(exclude={"release", "bytes"}),
            {
                "schema_version": 1,
                "run_id": "r1",
                "company_id": COMPANY,
                "window": {"number": 1, "of": 1, "low": "", "high": ""},
                "attempt": 4,
                "reason": "rows_missing",
                "detail": "2 records, the source counts 3",
                "temporary": True,
                "final": True,
                "condition": CONDITION,
                "count_before": 3,
                "records": 2,
                "at": self.world.now(),
            },
        )
        self.assertEqual(found[-1].release, self.resolved.release)
        self.assertGreater(found[-1].bytes, 200)
        prefix = f"{lake_layout.runs.failures('r1')}company_id={COMPANY}/attempt-"
        self.assertTrue(all(key.startswith(prefix) for key in self.store.writes))

    def test_an_attempt_without_an_answer_records_the_error_text(self):
        self.site.fault("download", nobody_answers, NEVER)

        with self.assertRaises(UnreachableError):
            self.prove()

        last = read_attempts(self.store, "r1")[-1]
        self.assertEqual((last.reason, last.count_before, last.records, last.bytes), ("unavailable", None, 0, 0))
        self.assertIn("connection refused", last.detail)

    def test_a_permanent_failure_is_final_at_once(self):
        for change, kind, reason, temporary in [
            (says(400), "download", "refused", False),
            (says(400), "count", "refused", False),
            (blocks, "download", "blocked", True),
            (says(404), "download", "release_gone", True),
        ]:
            with self.subTest(reason=reason, kind=kind):
                self.setUp()
                self.site.fault(kind, change, NEVER)
                with self.assertRaises((PermanentError, TemporaryError)):
                    self.prove()
                (attempt,) = read_attempts(self.store, "r1")
                self.assertEqual(
                    (attempt.attempt, attempt.reason, attempt.temporary, attempt.final), (1, reason, temporary, True)
                )
                self.assertEqual(self.world.clock.slept, [])
                self.assertEqual(self.world.progress.rows, 0)
                self.assert_nothing_is_left()

    def test_a_requested_stop_records_no_attempt(self):
        def stops(real: Reply) -> Reply:
            self.world.stop.request()
            return real

        self.site.fault("download", stops)

        with self.assertRaises(StoppedError):
            self.prove()

        self.assertEqual(self.store.writes, [])
        self.assertEqual(self.world.progress.rows, 0)
        self.assertGreater(self.task.seconds, 0)
        self.assert_nothing_is_left()

    def test_an_attempt_that_cannot_be_recorded_does_not_hide_its_cause(self):
        self.site.fault("download", says(400), NEVER)

        for error in (AccessError("disk full"), UnavailableError("503")):
            store = _Broken(error)
            self.addCleanup(store.close)
            with self.subTest(error=type(error).__name__), self.assertRaises(DataError):
                self.fetcher(store=store).prove(a_task(self.resolved))


class _Broken(MemoryStore):
    """A lake that takes no new object."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def put_new(self, key: str, body: Any, *, sha256: str | None = None) -> PutResult:
        raise self._error


class Drift(DownloadCase):
    def test_a_header_that_differs_twice_in_a_row_is_drift(self):
        self.site.fault("download", edits(lambda body: body.replace(b"Record_ID", b"Record")), NEVER)

        with self.assertRaisesRegex(DriftedError, "^header: .*The table changed its columns. Nothing was kept"):
            self.prove()

        found = read_attempts(self.store, "r1")
        self.assertEqual([(one.reason, one.temporary, one.final) for one in found],
                         [("header", True, False), ("drifted", False, True)])  # fmt: skip
        self.assertEqual(self.world.parts(), [])
        self.assertEqual(self.world.progress.rows, 0)

    def test_a_header_that_differs_now_and_then_is_retried(self):
        broken = edits(lambda body: body.replace(b"Record_ID", b"Record"))
        self.site.fault("download", broken)
        self.site.fault("download", dies)
        self.site.fault("download", broken)

        self.assertEqual(self.prove("window").records, 3)
        self.assertEqual(self.reasons(), ["header", "unavailable", "header"])


class AReleaseThatIsGone(DownloadCase):
    def test_a_withdrawn_release_is_temporary_and_not_retried(self):
        """404 in the middle of a run: CMS has republished."""
        for kind in ("count", "download"):
            with self.subTest(kind=kind):
                self.setUp()
                self.site.fault(kind, says(404, "distribution not found"), NEVER)
                with self.assertRaisesRegex(ReleaseGoneError, "CMS has republished. Run the same command") as caught:
                    self.prove()
                self.assertIsInstance(caught.exception, TemporaryError)
                self.assertFalse(caught.exception.retryable)
                self.assertEqual(self.world.clock.slept, [])


class Pages(DownloadCase):
    rows = 10_001

    def offsets(self) -> list[str]:
        return [asked["offset"] for asked in self.site.of_kind("download")]

    def test_pages_are_sorted_and_have_five_thousand_rows(self):
        """S1.4: --strategy pages."""
        audit = self.prove("pages")

        self.assertEqual(sorted(self.offsets(), key=int), ["0", "5000", "10000"])
        self.assertEqual({asked["limit"] for asked in self.site.of_kind("download")}, {"5000"})
        self.assertEqual({asked["sorts[0][property]"] for asked in self.site.of_kind("download")}, {"record_id"})
        self.assertEqual((audit.strategy, audit.records, audit.requests), ("pages", 10_001, 5))
        self.assertIn("&offset=0", audit.url)
        body = self.store.get(self.part) or b""
        self.assertEqual(body.count(b"Record_ID"), 1)
        self.assertEqual((audit.bytes, audit.sha256), (len(body), hashlib.sha256(body).hexdigest()))
        keys = [line.split(b",")[-2] for line in body.splitlines()[1:]]
        self.assertEqual(keys, sorted(keys))
        self.assertEqual(self.world.progress.rows, 10_001)
        self.assertEqual(self.world.progress.bytes_read, len(body))
        self.assert_nothing_is_left()

    def test_the_number_of_pages_follows_from_the_count(self):
        for rows, offsets in [(0, ["0"]), (1, ["0"]), (5000, ["0"]), (5001, ["0", "5000"]), (10_000, ["0", "5000"])]:
            with self.subTest(rows=rows):
                self.setUp()
                self.table.rows = payments(COMPANY, rows)
                self.assertEqual(self.prove("pages").records, rows)
                self.assertEqual(sorted(self.offsets(), key=int), offsets)

    def test_pages_have_the_same_content_as_one_answer(self):
        pages = self.prove("pages").content_hash
        self.setUp()

        self.assertEqual(self.prove("window").content_hash, pages)

    def test_pages_are_used_after_two_truncated_answers(self):
        """Where the source refuses long answers."""
        for change, times, strategies in [
            (dies, 1, ["window", "window"]),
            (dies, 2, ["window", "window", "pages"]),
            (edits(lambda body: body[:-9]), 2, ["window", "window", "pages"]),
            (edits(without_last_row), 2, ["window", "window", "pages"]),
            (edits(lambda body: without_last_row(body) + b"Error\n"), 2, ["window", "window", "pages"]),
            (edits(lambda body: body.replace(b"NEW", b"NEW,NEW", 1)), 2, ["window", "window", "window"]),
        ]:
            with self.subTest(times=times, strategies=strategies):
                self.setUp()
                self.site.fault("download", change, times)
                audit = self.prove()
                self.assertEqual(audit.strategy, strategies[-1])
                sizes = ["pages" if asked["limit"] else "window" for asked in self.site.of_kind("download")]
                self.assertEqual(sizes, strategies[:-1] + [strategies[-1]] * (3 if strategies[-1] == "pages" else 1))

    def test_pages_are_not_used_with_the_window_strategy(self):
        self.site.fault("download", dies, 3)

        self.assertEqual(self.prove("window").strategy, "window")

    def test_retried_pages_bypass_caches(self):
        self.site.fault("download", dies)

        self.prove("pages")

        past = [asked.bypass_cache for asked in self.site.of_kind("download")]
        self.assertEqual((past[-3:], any(past[:-3])), ([True] * 3, False))
        self.assertEqual(self.task.tally.requests, len(self.site.asked))
        self.assertEqual(self.world.progress.rows, 10_001)

    def test_the_bytes_of_pages_are_counted(self):
        self.prove("pages")

        later_headers = 2 * (len(",".join(TITLES)) + 1)
        part = self.store.get(self.part) or b""
        self.assertGreater(self.task.tally.bytes, len(part) + later_headers)

    def test_a_page_with_a_different_header_is_refused(self):
        def later(asked: Any) -> bool:
            return bool(asked["offset"] == "10000")

        for change, reason, detail in (
            (edits(lambda body: body.replace(b"Record_ID", b"Record")), "header", "misses ['Record_ID']"),
            (edits(lambda body: body.split(b"\n", 1)[1]), "error_row", "in place of a header: NEW,"),
            (sends(b"Could not generate header for CSV."), "error_row", "in place of a header: Could not"),
            (sends(b""), "error_row", "in place of a header"),
        ):
            with self.subTest(detail=detail):
                self.setUp()
                self.site.fault("download", change, when=later)
                self.assertEqual(self.prove("pages").records, 10_001)
                (attempt,) = read_attempts(self.store, "r1")
                self.assertEqual(attempt.reason, reason)
                self.assertRegex(attempt.detail, "^page 3: ")
                self.assertIn(detail, attempt.detail)

    def test_pages_may_use_titles_or_machine_names(self):
        names = (",".join(TITLES).encode(), ",".join(self.table.names).encode())
        quoted = b",".join(b'"' + title.encode() + b'"' for title in TITLES)
        for header in (names[1], quoted):
            with self.subTest(header=header[:9]):
                self.setUp()
                self.site.fault("download", replaces(names[0], header), 3)
                self.assertEqual(self.prove("pages").records, 10_001)
                self.assertEqual(self.reasons(), [])

    def test_pages_that_overlap_or_end_early_are_refused(self):
        for change, reason in [
            (edits(without_last_row), "rows_missing"),
            (edits(lambda body: body[:-9]), "width"),
            (edits(lambda body: without_last_row(body) + b"Error\n"), "error_row"),
            (edits(with_first_row_again), "repeated_key"),
        ]:
            with self.subTest(reason=reason):
                self.setUp()
                self.site.fault("download", change, when=lambda asked: asked["offset"] == "5000")
                self.assertEqual(self.prove("pages").records, 10_001)
                self.assertEqual(self.reasons(), [reason])
                self.assert_nothing_is_left()


class APartThatIsThere(DownloadCase):
    """Two proved parts of one key with other bytes and equal content are the same part: the first stays."""

    def there(self, change: Callable[[bytes], bytes]) -> bytes:
        body = change(self.body())
        self.store.put_new(self.part, body)
        return body

    def body(self) -> bytes:
        with self.world.source.download(self.table.distribution_id, a_task(self.resolved).conditions) as answer:
            return b"".join(answer.chunks)

    def test_an_existing_part_with_the_same_content_in_other_bytes_is_adopted(self):
        def in_another_order(body: bytes) -> bytes:
            header, *rows = body.splitlines(keepends=True)
            header = header.replace(b"Record_ID", b'"Record_ID"')
            return b"".join([header, *reversed(rows)]).replace(b"NEW", b"UNCHANGED")

        body = self.there(in_another_order)

        audit = self.prove()

        self.assertEqual(self.store.get(self.part), body)
        self.assertEqual((audit.bytes, audit.sha256), (len(body), hashlib.sha256(body).hexdigest()))
        self.assertEqual(audit.header_hash, hashlib.sha256(body.splitlines()[0]).hexdigest())
        self.assertEqual(self.store.writes, [self.part, self.part_audit])
        self.assert_nothing_is_left()

    def test_an_existing_part_with_the_same_bytes_is_adopted(self):
        self.table.rows = payments(COMPANY, 1)
        body = self.there(lambda body: body)

        self.assertEqual(self.prove().sha256, hashlib.sha256(body).hexdigest())

    def test_an_existing_part_with_other_content_is_a_conflict(self):
        self.there(lambda body: body.replace(b"lunch", b"dinner", 1))

        with self.assertRaisesRegex(ConflictError, "already holds content [0-9a-f]{64}, this run found [0-9a-f]{64}"):
            self.prove()

        self.assertEqual(self.reasons(), ["conflict"])
        self.assertIsNone(self.store.get(self.part_audit))
        self.assertEqual(self.world.progress.rows, 0)
        self.assert_nothing_is_left()

    def test_an_existing_part_with_another_row_count_is_left_to_gc(self):
        """Its run was killed before the audit, and the table went on being imported."""
        orphan = self.there(without_last_row)

        audit = self.prove()

        self.assertEqual((audit.generation, audit.records, self.reasons()), (2, 3, ["count_moved"]))
        self.assertEqual(self.store.get(self.part), orphan)
        self.assert_nothing_is_left()

    def test_an_existing_object_that_is_no_part_is_passed_over_and_stays(self):
        second = keys_of(self.resolved.release, COMPANY).part(1, 1, 2)
        for name, junk in {"cut": self.body()[:-9], "empty": b"", "text": b"<html>\n", "zeros": bytes(999)}.items():
            with self.subTest(name):
                self.store.put(self.part, junk)
                self.store.put(second, b"junk, too")

                audit = self.prove()

                self.assertEqual((audit.generation, audit.records, self.reasons()), (3, 3, []))
                self.assertEqual((self.store.get(self.part), self.store.get(second)), (junk, b"junk, too"))
                asked = len(self.site.of_kind("download"))
                self.assertEqual(self.prove(), audit)
                self.assertEqual(len(self.site.of_kind("download")), asked, "a proof after a gap was not found")
                self.store.delete(audit.key)
                self.store.delete(self.part_audit.replace("1-of-1", "1-of-1.3"))

    def test_junk_that_appears_during_the_download_costs_one_more_attempt(self):
        def meanwhile(real: Reply) -> Reply:
            self.store.put_new(self.part, b"junk")
            return real

        self.site.fault("download", meanwhile, 1)

        self.assertEqual((self.prove().generation, self.reasons()), (2, ["count_moved"]))
        self.assertEqual(self.store.get(self.part), b"junk")

    def test_a_part_proved_by_another_process_meanwhile_is_adopted(self):
        def meanwhile(real: Reply) -> Reply:
            audit = an_audit(release=self.resolved.release, content_hash=content, key=self.part)
            self.store.put_new(self.part_audit, audit.to_bytes())
            return real

        content = self.prove().content_hash
        self.store.delete(self.part_audit)
        self.site.fault("download", meanwhile)

        self.assertEqual(self.prove().url, an_audit().url)


class ReasonOf(DownloadCase):
    def test_each_kind_of_failure_has_one_stable_reason(self):
        for error, reason in [
            (NotProvedError("width", "…"), "width"),
            (BlockedError("no"), "blocked"),
            (DriftedError("no"), "drifted"),
            (ReleaseGoneError("no"), "release_gone"),
            (ConflictError("no"), "conflict"),
            (DataError("no"), "refused"),
            (AccessError("no"), "refused"),
            (UnreachableError("no"), "unavailable"),
            (TemporaryError("no"), "unavailable"),
            (ValueError("no"), "bug"),
        ]:
            with self.subTest(error=type(error).__name__):
                self.assertEqual(reason_of(error), reason)
