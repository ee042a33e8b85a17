import hashlib
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.datasets import OWNERSHIP
from data_pipeline.open_payments.fetch.task import WindowTask
from data_pipeline.open_payments.ledger import commit, plans, schemas
from data_pipeline.open_payments.ledger.audits import Audits, keys_of, slice_audit_of
from data_pipeline.open_payments.ledger.documents import Audit, Manifest, PlannedCompany, Release
from data_pipeline.open_payments.operations.verify import RecordIds, Verified, verify_run
from data_pipeline.open_payments.source import query
from data_pipeline.open_payments.windows import Window
from etl_core.csv_stream.reader import RecordError, RecordReader
from etl_core.errors import DataError, NotFoundError, StoppedError, TemporaryError
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    OTHER,
    START,
    Row,
    WorldCase,
    _csv_line,
    a_plan,
    a_release,
    a_result,
    a_slice,
    an_audit,
    payments,
    sends,
)

EMPTY = "100000000099"
JANUARY, AUGUST = "01/15/2024", "08/15/2024"
Change = Callable[[Audit], dict[str, Any]]


def same(_audit: Audit) -> dict[str, Any]:
    return {}


class RunCase(WorldCase):
    """A committed run of three slices: one of two parts, one of one, one empty."""

    def setUp(self) -> None:
        super().setUp()
        large = payments(COMPANY, 4, days=(JANUARY,)), payments(COMPANY, 3, days=(AUGUST,), first=5)
        self.windows: dict[str, list[tuple[str, str, list[Row]]]] = {
            COMPANY: [("", "07/01", large[0]), ("07/01", "", large[1])],
            OTHER: [("", "", payments(OTHER, 2))],
            EMPTY: [("", "", [])],
        }
        self.published = self.site.publish(2024, large[0] + large[1] + payments(OTHER, 2))
        self.resolved = self.world.resolved(self.published)
        self.build()

    @property
    def release(self) -> Release:
        return self.resolved.release

    def keys(self, company_id: str = COMPANY) -> lake_layout.open_payments.SliceKeys:
        return keys_of(self.release, company_id)

    @property
    def part(self) -> str:
        return self.keys().part(1, 2)

    @property
    def part_audit(self) -> str:
        return self.keys().part_audit(1, 2)

    @property
    def slice_audit(self) -> str:
        return self.keys().slice_audit()

    def build(self, change: Change = same, *, in_slice: dict[str, Any] | None = None, **of_commit: Any) -> None:
        """Write the lake as a run would, every audit of COMPANY edited by ``change`` and all above it alike."""
        for entry in list(self.store.list("")):
            self.store.delete(entry.key)
        schemas.write_schema(self.store, self.resolved.release, self.resolved.table.columns)
        for company_id, windows in self.windows.items():
            parts = []
            for number, (low, high, rows) in enumerate(windows, 1):
                audit = self.publish(company_id, Window(number, len(windows), low, high), rows)
                if company_id == COMPANY:
                    audit = audit.model_copy(update=change(audit))
                self.store.put(self.keys(company_id).part_audit(number, len(windows)), audit.to_bytes())
                parts.append(audit)
            closed = slice_audit_of(self.release, company_id, tuple(parts), sum(one.records for one in parts), START)
            if company_id == COMPANY:
                closed = closed.model_copy(update=in_slice or {})
            self.store.put(self.keys(company_id).slice_audit(), closed.to_bytes())
        counts: dict[str, int | None] = {one: sum(len(w[2]) for w in self.windows[one]) for one in self.windows}
        self.plan = a_plan(counts, source_rows=self.rows, release=self.release)
        self.store.put(lake_layout.runs.plan("r1"), self.plan.to_bytes())
        self.commit(**of_commit)

    @property
    def rows(self) -> int:
        return sum(len(rows) for windows in self.windows.values() for _, _, rows in windows)

    def commit(self, **changes: Any) -> Manifest:
        self.store.delete(lake_layout.runs.manifest("r1"))
        values: dict[str, Any] = {"known": {}, "source_rows": self.rows, "release_at_end": self.release}
        return commit.commit_run(self.store, self.plan, now=START + timedelta(hours=1), **values | changes)

    def publish(self, company_id: str, window: Window, rows: list[Row]) -> Audit:
        """Write a part and give its audit, as true as it can be: content that a reader refuses is only hashed."""
        task = WindowTask("r1", self.release, self.resolved.table.columns, company_id, window, None)
        body = b"".join(map(_csv_line, [self.published.titles, *rows]))
        key = self.keys(company_id).part(window.number, window.of)
        self.store.put(key, body)
        reader = RecordReader(task.layout)
        content = header = "0" * 64
        try:
            reader.feed(body)
            summary = reader.finish()
            content, header = summary.content_hash, summary.header_hash
        except RecordError:
            pass
        return Audit(
            release=self.release,
            company_id=company_id,
            window=window,
            key=key,
            url="http://site.test/download",
            condition=query.describe(task.conditions),
            strategy="window",
            verdict="proved" if rows else "empty",
            records=len(rows),
            bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            content_hash=content,
            header_hash=header,
            dialect="rfc4180",
            count_before=len(rows),
            count_after=len(rows),
            started_at=START,
            proved_at=START,
            seconds=1.0,
            requests=2,
            retries=0,
            software={},
        )

    def verify(self, run_id: str = "r1", *, against_source: bool = False) -> Verified:
        source = self.world.source if against_source else None
        return verify_run(
            self.store, run_id, source=source, progress=self.world.progress, check_stop=self.world.stop.check
        )

    def found(self, **choice: Any) -> set[tuple[str, str]]:
        return {(one.finding, one.key) for one in self.verify(**choice).findings}

    def details(self) -> str:
        return " / ".join(f"{one.finding} {one.detail}" for one in self.verify().findings)

    def replace(self, key: str, old: bytes, new: bytes, count: int = -1) -> None:
        body = self.store.get(key) or b""
        self.assertIn(old, body)
        self.store.put(key, body.replace(old, new, count))


class ACleanRun(RunCase):
    def test_a_clean_run_is_read_whole_and_nothing_is_found(self):
        verified = self.verify()

        size = sum(entry.size for entry in self.store.list("raw/"))
        self.assertEqual(verified, Verified([], slices=3, parts=4, rows=9, bytes=size))
        self.assertEqual(self.site.asked[1:], [], "the source is not asked")

    def test_a_clean_run_agrees_with_its_source(self):
        asked = len(self.site.asked)

        self.assertEqual(self.verify(against_source=True).findings, [])
        self.assertEqual(self.site.kinds()[asked:], ["table", "groups"])

    def test_a_clean_run_shows_its_progress(self):
        verified = self.verify()

        progress = self.world.progress
        self.assertEqual(progress.begun, [("verify r1", 3, 9)])
        self.assertEqual((progress.slices, progress.rows, progress.bytes_read), (3, 9, verified.bytes))
        self.assertEqual(progress.stopped, 1)

    def test_a_clean_run_is_left_when_asked_to_stop(self):
        self.world.stop.request()

        with self.assertRaises(StoppedError):
            self.verify()
        self.assertEqual(self.world.progress.stopped, 1)

    def test_a_clean_run_writes_nothing(self):
        writes = list(self.store.writes)

        self.verify(against_source=True)

        self.assertEqual(self.store.writes, writes)

    def test_a_clean_run_may_hold_slices_that_are_not_proved(self):
        self.store.delete(self.keys(OTHER).slice_audit())
        self.commit()

        verified = self.verify()

        self.assertEqual((verified.findings, verified.slices, verified.parts), ([], 2, 3))

    def test_a_clean_run_may_be_torn(self):
        self.build()
        self.commit(release_at_end=a_release(distribution_id="99999999-cda3-5f6b-a501-b76926c7c035"))

        self.assertEqual(self.found(), set())


class ARunThatIsNotCommitted(RunCase):
    def test_a_run_without_a_manifest_is_refused_with_how_to_commit_it(self):
        self.store.delete(lake_layout.runs.manifest("r1"))

        with self.assertRaisesRegex(DataError, "not committed.* write_manifest -- --run-id r1"):
            self.verify()

    def test_a_run_that_was_never_planned_is_not_found(self):
        with self.assertRaises(NotFoundError):
            self.verify("r2")


class APart(RunCase):
    def test_a_part_with_a_flipped_bit_is_found(self):
        body = bytearray(self.store.get(self.part) or b"")
        body[body.index(b"lunch")] ^= 1
        self.store.put(self.part, bytes(body))

        self.assertEqual(self.found(), {("changed", self.part)})
        self.assertIn("changed sha256", self.details())

    def test_a_part_that_is_not_what_audit_and_all_sums_say_is_found(self):
        changes: dict[str, Any] = {
            "records": 5, "bytes": 7, "sha256": "a" * 64, "content_hash": "a" * 64, "header_hash": "a" * 64,
        }  # fmt: skip
        for name, value in changes.items():
            with self.subTest(name=name):
                counts = {"count_before": 5, "count_after": 5} if name == "records" else {}
                change = {name: value, **counts}
                self.build(lambda audit, change=change: change if audit.window.number == 1 else {})  # type: ignore[misc]
                self.assertEqual(self.found(), {("changed", self.part)})
                self.assertRegex(self.details(), f"^changed {name} [^;]*$")

    def test_a_part_that_is_gone_is_found(self):
        self.store.delete(self.part)

        self.assertEqual(self.found(), {("missing", self.part)})

    def test_a_part_whose_records_are_not_what_they_must_be_is_found_though_its_audit_agrees(self):
        row = self.windows[COMPANY][0][2][0]
        payer, date = row[1], row[2]
        cases: dict[str, list[Row]] = {
            "repeated_key": [row, row],
            "foreign": [tuple(OTHER if text == payer else text for text in row)],
            "width": [row[:-1]],
            "error_row": [("an exception",)],
        }
        for reason, rows in cases.items():
            with self.subTest(reason=reason):
                self.windows[COMPANY][0] = ("", "07/01", rows)
                self.build()
                self.assertEqual(self.found(), {(reason, self.part)})
        self.windows[COMPANY][0] = ("", "07/01", [tuple(AUGUST if text == date else text for text in row)])
        self.build()
        self.assertEqual(self.found(), {("foreign", self.part)})

    def test_a_part_with_another_header_is_found(self):
        body = self.store.get(self.part) or b""
        self.store.put(self.part, body.replace(b"Contextual_Information", b"Something_Else"))

        self.assertEqual(self.found(), {("header", self.part)})

    def test_a_part_that_ends_inside_a_record_is_found(self):
        body = self.store.get(self.part) or b""
        self.store.put(self.part, body[:-3])

        self.assertEqual(self.found(), {("truncated", self.part)})

    def test_a_part_that_nothing_names_is_found(self):
        keys = self.keys()
        folder = keys.part(1, 2).rpartition("/")[0]
        extra = {keys.part(1, 1), keys.part_audit(3, 3), f"{folder}/old/part-1-of-2.csv"}
        for key in extra:
            self.store.put(key, b"x")
        later = an_audit(number=1, of=2, generation=2, release=self.release)
        for key, body in ((keys.part(1, 2, 2), b"x"), (keys.part_audit(1, 2, 2), later.to_bytes())):
            self.store.put(key, body)  # of a time when the source counted other rows: gc's, too
        of_nobody = keys_of(self.release, "77").part(1, 1)
        self.store.put(of_nobody, b"x")  # it is in no slice of the run: gc's

        self.assertEqual(self.found(), {("extra", key) for key in extra})

    def test_what_a_desktop_left_among_the_parts_is_no_finding(self):
        folder = self.keys().part(1, 2).rpartition("/")[0]
        for name in (".DS_Store", "._part-1-of-2.csv", "Thumbs.db"):
            self.store.put(f"{folder}/{name}", b"junk")
        self.assertEqual(self.found(), set())

    def test_an_object_of_the_release_in_no_folder_of_a_company_is_found(self):
        """A store lists a link in place of a folder as an object."""
        parts, audits = (one.partition("/company_id=")[0] for one in (self.part, self.keys().part_audit(1, 2)))
        for key in (f"{parts}/company_id=77", f"{audits}/company_id={COMPANY}", f"{parts}/company_id=a copy/x.csv"):
            with self.subTest(key=key):
                self.store.put(key, b"x")
                self.assertEqual(self.found(), {("extra", key)})
                self.store.delete(key)

    def test_garbage_under_names_of_later_generations_is_found(self):
        keys = self.keys()
        later = an_audit(number=1, of=2, generation=2, release=self.release)
        for key, body, finding in [
            (keys.part(1, 2, 2), b"x", "extra"),
            (keys.part_audit(1, 2, 2), b"x", "unreadable"),
            (keys.part_audit(1, 2, 3), later.to_bytes(), "misplaced"),
            (keys.slice_audit(2), b"", "unreadable"),
            (keys.slice_audit(3), self.store.get(keys.slice_audit()) or b"", "misplaced"),
        ]:
            with self.subTest(key=key):
                self.store.put(key, body)
                self.assertEqual(self.found(), {(finding, key)})
                self.store.delete(key)


class RecordIdsOfARun(RunCase):
    def test_record_ids_occur_once_in_a_run(self):
        first = self.windows[COMPANY][0][2][0]
        twin = self.keys().part(2, 2)
        other = self.keys(OTHER).part(1, 1)
        for record_id in (first[4], "A-17"):
            for company_id, number, also in ((COMPANY, 1, twin), (OTHER, 0, other)):
                with self.subTest(record_id=record_id, also=also):
                    self.setUp()
                    rows = self.windows[COMPANY][0][2]
                    rows[0] = (*first[:4], record_id, *first[5:])
                    theirs = self.windows[company_id][number][2]
                    theirs[0] = (*theirs[0][:4], record_id, *theirs[0][5:])
                    self.build()
                    self.assertEqual(self.found(), {("repeated_id", self.part), ("repeated_id", also)})

    def test_record_ids_cost_eight_bytes_each(self):
        ids, number = RecordIds(), 300_000
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        ids.add(iter(range(10**9, 10**9 + number)))
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        self.assertEqual(ids.repeated(), set())
        peak = tracemalloc.get_traced_memory()[1]

        self.assertLess(held, 10 * number)
        self.assertLess(peak - held, number, "looking for repeated ones takes a bucket at a time")

    def test_record_ids_are_found_wherever_they_are_repeated(self):
        ids = RecordIds()
        ids.add([1, 2, 1025, 2, b"x", b"y"])
        ids.add([1025, b"x"])

        self.assertEqual(ids.repeated(), {2, 1025, b"x"})


class AuditsOfARun(RunCase):
    def test_audits_that_are_gone_or_unreadable_are_found(self):
        for name in ("part_audit", "slice_audit"):
            key = getattr(self, name)
            for finding, tamper in {
                "missing": self.store.delete,
                "unreadable": lambda key: self.store.put(key, b"{}"),
            }.items():
                with self.subTest(name=name, finding=finding):
                    self.build()
                    tamper(key)
                    self.assertEqual(self.found(), {(finding, key)})

    def test_audits_that_disagree_are_found(self):
        """The part's own, the one in slice.jsonl, and the line in file_audits.jsonl say the same."""
        cases: list[tuple[str, set[str]]] = [
            (self.part_audit, {self.part_audit}),
            (self.slice_audit, {self.part_audit, self.slice_audit}),
        ]
        for key, disagreeing in cases:
            with self.subTest(key=key):
                self.build()
                self.replace(key, b'"seconds":1.0', b'"seconds":9.0', 1)
                self.assertEqual(self.found(), {("audits_disagree", one) for one in disagreeing})

    def test_audits_edited_with_their_file_are_found_by_the_list_of_the_run(self):
        """Part, part audit and slice.jsonl are changed alike; file_audits.jsonl and its digest remember."""
        before = {key: self.store.get(key) or b"" for key in map(lake_layout.runs.file_audits, ["r1"])}
        report = self.store.get(lake_layout.open_payments.download_report("r1", 2024)) or b""
        manifest = self.store.get(lake_layout.runs.manifest("r1")) or b""
        rows = self.windows[COMPANY][0][2]
        rows[0] = (*rows[0][:3], "a dinner", *rows[0][4:])
        self.build()
        self.store.put(lake_layout.open_payments.download_report("r1", 2024), report)
        self.store.put(lake_layout.runs.manifest("r1"), manifest)
        for key, body in before.items():
            self.store.put(key, body)

        self.assertIn(("audits_disagree", self.slice_audit), self.found())

    def test_audits_of_slices_that_were_swapped_with_their_parts_are_found(self):
        self.windows[COMPANY] = [("", "", payments(COMPANY, 2))]
        self.build()
        one, two = self.keys(), self.keys(OTHER)
        for left, right in [
            (one.part(1, 1), two.part(1, 1)),
            (one.part_audit(1, 1), two.part_audit(1, 1)),
            (one.slice_audit(), two.slice_audit()),
        ]:
            bodies = self.store.get(left) or b"", self.store.get(right) or b""
            self.store.put(right, bodies[0])
            self.store.put(left, bodies[1])

        found = self.found()

        for keys in (one, two):
            expected = {("misplaced", keys.slice_audit()), ("misplaced", keys.part_audit(1, 1))}
            self.assertLessEqual(expected | {("foreign", keys.part(1, 1))}, found)

    def test_audits_of_another_company_release_or_window_are_found(self):
        elsewhere = self.release.model_copy(update={"distribution_id": self.release.distribution_id[:-1] + "f"})
        cases: list[tuple[str, Change, dict[str, Any]]] = [
            (self.part_audit, lambda _: {"company_id": OTHER}, {}),
            (self.part_audit, lambda _: {"release": elsewhere}, {}),
            (self.part_audit, lambda _: {"key": self.keys(OTHER).part(1, 1)}, {}),
            (self.part_audit, lambda one: {"window": replace(one.window, number=2)}, {}),
            (self.part_audit, lambda one: {"window": replace(one.window, of=3)}, {}),
            (self.slice_audit, same, {"release": elsewhere}),
        ]
        for key, change, in_slice in cases:
            with self.subTest(key=key, change=change):
                first = lambda audit, change=change: change(audit) if audit.window.number == 1 else {}  # noqa: E731
                self.build(first, in_slice=in_slice)
                found = self.found()
                # An audit that names another company is a line of that one's.
                beside = {"audits_disagree", "does_not_tile"}
                self.assertEqual({one for one in found if one[0] not in beside}, {("misplaced", key)})
                cut = "window" in change(a_slice().parts[0])
                self.assertEqual(("does_not_tile", self.slice_audit) in found, cut)

    def test_audits_of_a_slice_that_names_another_company_are_found(self):
        self.build()
        self.replace(
            self.slice_audit,
            f'"company_id":"{COMPANY}","generation"'.encode(),
            b'"company_id":"7","generation"',
        )

        self.assertEqual(self.found(), {("misplaced", self.slice_audit)})

    def test_audits_that_contradict_themselves_are_found(self):
        changes: list[dict[str, Any]] = [
            {"count_before": 9}, {"count_after": 9}, {"verdict": "empty"}, {"condition": "all rows"},
        ]  # fmt: skip
        for change in changes:
            with self.subTest(change=change):
                self.build(lambda audit, change=change: change if audit.window.number == 1 else {})  # type: ignore[misc]
                self.assertEqual(self.found(), {("contradicts_itself", self.part_audit)})

    def test_audits_of_several_windows_may_leave_the_count_after_to_their_slice(self):
        def untold(_: Audit) -> dict[str, Any]:
            return {"count_after": None}

        self.build(untold, in_slice={"counts_after": (4, 3)})
        self.assertEqual(self.found(), set())
        for counts_after in ((), (3, 4), (7,)):
            with self.subTest(counts_after=counts_after):
                self.build(untold, in_slice={"counts_after": counts_after})
                self.assertEqual(self.found(), {("contradicts_itself", self.slice_audit)})

    def test_audits_of_one_window_have_the_count_after(self):
        self.windows[COMPANY] = [("", "", payments(COMPANY, 7))]
        self.build(lambda _: {"count_after": None}, in_slice={"counts_after": (7,)})

        self.assertEqual(self.found(), {("contradicts_itself", self.keys().part_audit(1, 1))})

    def test_audits_of_a_later_generation_are_read_where_the_manifest_names_them(self):
        audits = Audits(self.store, self.release)
        (part,) = audits.window_proofs(OTHER, Window(1, 1, "", "")).audits
        rows = payments(OTHER, 3)
        body = b"".join(map(_csv_line, [self.published.titles, *rows]))
        keys = self.keys(OTHER)
        self.publish(OTHER, Window(1, 1, "", ""), rows)
        shown = self.publish(OTHER, Window(1, 1, "", ""), rows).model_copy(
            update={"generation": 2, "key": keys.part(1, 1, 2)}
        )
        self.publish(OTHER, Window(1, 1, "", ""), self.windows[OTHER][0][2])
        self.store.put(keys.part(1, 1, 2), body)
        audits.publish_part(shown)
        audits.close_slice(OTHER, (shown,), 3, START)

        self.assertEqual(self.found(), set(), "a run committed before names the first")
        (result,) = [one for one in self.commit(source_rows=10).slices if one.company_id == OTHER]
        self.assertEqual((result.generation, result.rows, part.records), (2, 3, 2))
        self.assertEqual(self.found(), set())
        self.store.delete(keys.slice_audit(2))
        self.assertEqual(self.found(), {("missing", keys.slice_audit(2))})
        self.store.put(keys.slice_audit(2), self.store.get(keys.slice_audit()) or b"")
        self.assertLess({("misplaced", keys.slice_audit(2)), ("slice_differs", keys.slice_audit(2))}, self.found())

    def test_audits_of_another_cut_under_the_same_release_are_no_finding(self):
        """The slice grew past a window's size, so its parts have other names."""
        audits = Audits(self.store, self.release)
        parts = [self.publish(OTHER, Window(number, 2, low, high), payments(OTHER, rows, days=(day,), first=first))
                 for number, low, high, rows, day, first in ((1, "", "07/02", 2, JANUARY, 1),
                                                             (2, "07/02", "", 1, AUGUST, 3))]  # fmt: skip
        for part in parts:
            audits.publish_part(part)
        audits.close_slice(OTHER, tuple(parts), 3, START)

        self.assertEqual(self.found(), set())
        self.store.put(self.keys(OTHER).slice_audit(2), b"{}")
        self.assertEqual({finding for finding, _ in self.found()}, {"extra", "unreadable"})

    def test_audits_whose_sums_are_wrong_are_found(self):
        changes: list[dict[str, Any]] = [
            {"records": 8, "count_after": 8}, {"bytes": 1}, {"content_hash": "a" * 64}, {"count_before": 1},
            {"count_after": 1}, {"verdict": "empty"},
        ]  # fmt: skip
        for change in changes:
            with self.subTest(change=change):
                self.build(in_slice=change)
                self.assertEqual(self.found(), {("sums_differ", self.slice_audit)})

    def test_audits_whose_windows_leave_a_gap_are_found(self):
        large = self.windows[COMPANY]
        for windows in (
            [("", "06/15", large[0][2]), ("07/01", "", large[1][2])],
            [("01/01", "07/01", large[0][2]), ("07/01", "", large[1][2])],
            [("", "07/01", large[0][2]), ("07/01", "12/31", large[1][2])],
        ):
            with self.subTest(windows=[window[:2] for window in windows]):
                self.windows[COMPANY] = windows
                self.build()
                self.assertEqual(self.found(), {("does_not_tile", self.slice_audit)})

    def test_audits_of_a_slice_of_a_dataset_without_a_payment_date_are_found(self):
        release = self.release.model_copy(update={"dataset": OWNERSHIP.name})
        self.resolved = replace(self.resolved, release=release)
        self.build()

        part_audits = {self.keys().part_audit(number, 2) for number in (1, 2)}
        self.assertEqual({key for finding, key in self.found() if finding == "does_not_tile"}, part_audits)

    def test_audits_of_a_slice_without_parts_are_found(self):
        self.windows[EMPTY] = []
        self.build()

        self.assertEqual(self.found(), {("does_not_tile", self.keys(EMPTY).slice_audit())})

    def test_audits_that_are_not_what_the_manifest_says_of_the_slice_are_found(self):
        for change in ({"rows": 8}, {"bytes": 8}, {"verdict": "empty"}):
            with self.subTest(change=change):
                audit = Audits(self.store, self.release).slice_audit(COMPANY)
                assert audit is not None
                values: dict[str, Any] = {"rows_expected": 7, "rows": audit.records, "bytes": audit.bytes}
                self.build(known={COMPANY: a_result(**values | change)}, source_rows=100)
                self.assertEqual(self.found(), {("slice_differs", self.slice_audit)})


class TheRecordsOfARun(RunCase):
    def test_documents_of_a_run_are_compared_with_the_digest_in_the_manifest(self):
        key = lake_layout.runs.file_audits("r1")
        lines = (self.store.get(key) or b"").splitlines(keepends=True)
        for body in (b"".join(reversed(lines)), None, b"".join(lines).replace(b'"seconds":1.0', b'"seconds":1.00')):
            with self.subTest(body=body and body[:40]):
                self.build()
                self.store.delete(key)
                if body is not None:
                    self.store.put(key, body)
                self.assertIn(("digest_differs", key), self.found())

    def test_documents_of_a_run_are_readable_line_by_line(self):
        key = lake_layout.runs.file_audits("r1")
        self.store.put(key, (self.store.get(key) or b"") + b"{}\n")

        self.assertIn(("unreadable", key), self.found())
        self.assertIn("line 5", self.details())

    def test_documents_of_a_run_that_are_gone_or_unreadable_are_found(self):
        release = self.release
        schema = lake_layout.open_payments.schema(release.dataset, release.year, release.name)
        for key, finding in [
            (lake_layout.runs.plan("r1"), "missing"),
            (lake_layout.open_payments.download_report("r1", 2024), "report_differs"),
            (schema, "unreadable"),
        ]:
            with self.subTest(key=key):
                self.build()
                self.store.delete(key)
                self.assertEqual(self.found(), {(finding, key)})
        for key in (lake_layout.runs.plan("r1"), lake_layout.runs.manifest("r1"), schema):
            with self.subTest(unreadable=key):
                self.build()
                self.store.put(key, b"{")
                self.assertEqual(self.found(), {("unreadable", key)})

    def test_documents_of_a_run_know_the_columns_that_the_proof_needs(self):
        release = self.release
        schema = lake_layout.open_payments.schema(release.dataset, release.year, release.name)
        self.replace(schema, b"Date_of_Payment", b"Day")

        self.assertEqual(self.found(), {("unreadable", schema)})

    def test_documents_of_a_run_have_one_report(self):
        key = lake_layout.open_payments.download_report("r1", 2024)
        self.replace(key, b"proved", b"empty")

        self.assertEqual(self.found(), {("report_differs", key)})

    def test_documents_of_a_run_are_of_this_run(self):
        """A whole run copied under another name is not that run."""
        for entry in list(self.store.list("metadata/runs/run_id=r1/")):
            self.store.put(entry.key.replace("=r1/", "=r2/"), self.store.get(entry.key) or b"")

        self.assertEqual(self.found(run_id="r2"), {("misplaced", lake_layout.runs.manifest("r2"))})

    def test_documents_of_a_run_follow_from_the_plan(self):
        other = (PlannedCompany(company_id=COMPANY, rows=7), PlannedCompany(company_id=OTHER, rows=2))
        for companies in (
            other,
            tuple(reversed(self.plan.companies)),
            (*other, PlannedCompany(company_id=EMPTY, rows=1)),
        ):
            with self.subTest(companies=companies):
                self.build()
                self.store.put(
                    lake_layout.runs.plan("r1"), self.plan.model_copy(update={"companies": companies}).to_bytes()
                )
                self.assertEqual(self.found(), {("plan_differs", lake_layout.runs.manifest("r1"))})

    def test_documents_of_a_run_make_the_manifest_what_it_is(self):
        manifest = plans.read_manifest(self.store, "r1")
        assert manifest is not None
        closure = manifest.closure
        changes: list[dict[str, Any]] = [
            {"dataset": "research-payments"}, {"year": 2023}, {"files_planned": 4}, {"files_downloaded": 1},
            {"files_failed": 1}, {"status": "partial"}, {"totals": {"proved": 3}}, {"rows": 1}, {"bytes": 1},
            {"selection": self.plan.selection.model_copy(update={"max_files": 3})}, {"file_audits": 1},
            {"created_at": START + timedelta(1)}, {"closure": closure.model_copy(update={"closed": False})},
            {"closure": closure.model_copy(update={"proved_rows": 1})},
            {"closure": closure.model_copy(update={"companies_proved": 1})},
        ]  # fmt: skip
        key = lake_layout.runs.manifest("r1")
        for change in changes:
            with self.subTest(change=change):
                self.store.put(key, manifest.model_copy(update=change).to_bytes())
                found = self.found()
                self.assertIn(("manifest_differs", key), found)
                self.assertIn(next(iter(change)), self.details())

    def test_documents_of_a_run_may_have_been_made_by_another_version(self):
        self.replace(lake_layout.runs.manifest("r1"), b'"data_pipeline":"', b'"data_pipeline":"9.')
        self.replace(lake_layout.runs.manifest("r1"), b"slices sum to", b"slices add up to")

        self.assertEqual(self.found(), set())


class TheSource(RunCase):
    def test_the_source_knows_when_every_file_was_edited_alike(self):
        """An audit edited together with its file and all sums is a proof of itself; only counts contradict it."""
        self.windows[COMPANY][0][2].pop()
        self.build(source_rows=9)

        self.assertEqual(self.found(), set())
        self.assertEqual(self.found(against_source=True), {("slice_count_differs", self.slice_audit)})

    def test_the_source_knows_how_many_rows_the_year_has(self):
        self.build(source_rows=10)

        self.assertEqual(self.found(), set())
        self.assertEqual(self.found(against_source=True), {("year_count_differs", lake_layout.runs.manifest("r1"))})

    def test_the_source_knows_payers_that_an_older_manifest_lacks(self):
        """The manifest of an earlier run, put back with its plan and list, was true once."""
        del self.windows[OTHER]
        self.build(source_rows=9)
        key = lake_layout.runs.manifest("r1")

        self.assertEqual(self.found(), set())
        self.assertEqual(self.found(against_source=True), {("payer_missing", key)})

    def test_the_source_has_more_payers_than_a_part_of_the_year(self):
        del self.windows[OTHER]
        self.build()
        self.plan = self.plan.model_copy(update={"selection": self.plan.selection.model_copy(update={"max_files": 2})})
        self.store.put(lake_layout.runs.plan("r1"), self.plan.to_bytes())
        self.commit(source_rows=9)

        self.assertEqual(self.found(against_source=True), set())

    def test_the_source_cannot_confirm_a_release_it_has_replaced(self):
        self.site.publish(2024, payments(COMPANY, 1))

        self.assertEqual(self.found(against_source=True), {("release_moved", lake_layout.runs.manifest("r1"))})

    def test_a_source_that_contradicts_itself_is_asked_again_later(self):
        self.site.fault("groups", sends({"results": []}))

        with self.assertRaises(TemporaryError):
            self.verify(against_source=True)
