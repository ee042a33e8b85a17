import csv
import io
import tracemalloc
import unittest
from collections.abc import Iterable, Sequence
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.datasets import CHANGE_TYPE, PUBLICATION_DATE
from data_pipeline.open_payments.ledger.committed import proved_releases
from data_pipeline.open_payments.ledger.documents import Release
from data_pipeline.open_payments.operations import diff
from data_pipeline.open_payments.operations.diff import Difference, Digests
from data_pipeline.open_payments.source.totals import TotalsChoice
from data_pipeline.runs.listing import newest
from etl_core.csv_stream.reader import Record
from etl_core.errors import DataError, NotFoundError, StoppedError, UsageError
from etl_core.stop import Stop
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    OTHER,
    TITLES,
    Row,
    Shown,
    WorldCase,
    a_release,
    a_selection,
    payments,
)

DAYS = ("2025-06-30", "2026-01-23", "2026-06-30")


def named(*days: str) -> list[Release]:
    return [a_release(modified=day) for day in days]


def records(*ids: str, change_type: str | None = "UNCHANGED", digest: int = 1) -> list[Record]:
    mark = None if change_type is None else change_type.encode()
    sha256 = digest.to_bytes(8) + bytes(24)
    return [Record(one.encode("utf-8", "surrogateescape"), mark, sha256) for one in ids]


def record(record_id: str, digest: int) -> Record:
    return records(record_id, change_type=None, digest=digest)[0]


class PairOf(unittest.TestCase):
    NAMES = tuple(one.name for one in named(*DAYS))

    def test_the_pair_is_the_newest_two_unless_others_are_named(self):
        first, second, third = self.NAMES
        for older, newer, expected in [
            (None, None, (second, third)),
            (first, None, (first, third)),
            (None, second, (first, second)),
            (first, second, (first, second)),
        ]:
            with self.subTest(older=older, newer=newer):
                pair = diff.pair_of(named(*DAYS), older, newer)
                self.assertEqual(tuple(one.name for one in pair), expected)

    def test_the_pair_is_refused_with_fewer_than_two_which_are_named(self):
        for known, said in [([], "none"), (named(DAYS[0]), self.NAMES[0])]:
            with self.subTest(known=known), self.assertRaises(NotFoundError) as caught:
                diff.pair_of(known, None, None)
            self.assertIn(f"committed runs name {said}", str(caught.exception))

    def test_the_pair_is_refused_for_a_release_that_no_run_names(self):
        for older, newer in [("x", None), (None, "x")]:
            with self.subTest(older=older), self.assertRaises(NotFoundError) as caught:
                diff.pair_of(named(*DAYS), older, newer)
            self.assertIn("no release x ", str(caught.exception))
            self.assertIn(", ".join(self.NAMES), str(caught.exception))

    def test_the_pair_is_refused_unless_the_first_is_the_older(self):
        first, second, third = self.NAMES
        for older, newer in [(second, first), (first, first), (third, None), (None, first)]:
            with self.subTest(older=older, newer=newer), self.assertRaisesRegex(UsageError, "must name an older"):
                diff.pair_of(named(*DAYS), older, newer)


class OldRecords(unittest.TestCase):
    """``Digests``."""

    IDS = (
        "7",
        "07",
        "007",
        "0",
        "00",
        "",
        "7 ",
        "x",
        "é",
        "\u0667",
        "\u00b2",
        "\udcff",
        "9" * 18,
        "1" + "0" * 18,
        "9" * 38,
        "1" * 38,
    )

    def test_old_records_tell_added_changed_and_unchanged_by_any_text_of_an_id(self):
        for missing in self.IDS:
            older = Digests(records(*(one for one in self.IDS if one != missing)))
            for one in self.IDS:
                same, other = records(one)[0], records(one, digest=2)[0]
                with self.subTest(missing=missing, one=one):
                    self.assertEqual(older.verdict_on(same), "added" if one == missing else "unchanged")
                    self.assertEqual(older.verdict_on(other), "added" if one == missing else "changed")

    def test_old_records_are_found_in_whatever_order_they_came(self):
        ids = [str(number * 7919 % 100_003) for number in range(1, 2000)]
        older = Digests(record(one, int(one)) for one in ids)
        self.assertEqual({older.verdict_on(record(one, int(one))) for one in reversed(ids)}, {"unchanged"})
        self.assertEqual({older.verdict_on(record(str(int(one) + 200_000), 0)) for one in ids}, {"added"})

    def test_old_records_keep_digests_of_all_eight_bytes(self):
        older = Digests([record("1", 2**64 - 1), record("2", 0), record("3", 2**63)])
        for one, digest in [("1", 2**63 - 1), ("1", 2**64 - 2), ("2", 1), ("3", 0)]:
            self.assertEqual(older.verdict_on(record(one, digest)), "changed")
        self.assertEqual(older.verdict_on(record("1", 2**64 - 1)), "unchanged")

    def test_old_records_take_17_bytes_each(self):
        many = 50_000
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        older = Digests(record(str(2**30 + number), 2**63 + number) for number in range(many))
        held, peak = tracemalloc.get_traced_memory()
        self.assertEqual(older.asked(0), many)
        self.assertLess(held - before, 20 * many)
        self.assertLess(peak - before, 100 * many, "250 MB hold 1.7 million records with room to spare")


class OneCompany(unittest.TestCase):
    """``difference``."""

    def test_a_company_is_counted_by_record_id(self):
        older = Digests(records("1", "2", "3", "4", "5"))
        newer = [
            *records("6", "7", change_type="NEW"),
            *records("2", change_type="CHANGED", digest=2),
            *records("5", "3"),
        ]
        self.assertEqual(
            diff.difference(COMPANY, older, newer),
            Difference(COMPANY, added=2, removed=2, changed=1, unchanged=2, change_type_disagreements=0, note=""),
        )

    def test_a_company_is_compared_with_the_change_type_of_every_record(self):
        older = records("1", "2")
        for verdict, newer in [("added", ("9", 1)), ("changed", ("1", 2)), ("unchanged", ("1", 1))]:
            for claim, truth in [
                ("NEW", "added"),
                ("ADD", "added"),
                ("CHANGED", "changed"),
                ("UNCHANGED", "unchanged"),
                ("", None),
                ("New", None),
            ]:
                with self.subTest(verdict=verdict, claim=claim):
                    found = diff.difference(
                        COMPANY, Digests(older), records(newer[0], change_type=claim, digest=newer[1])
                    )
                    agrees = verdict == truth
                    self.assertEqual(found.change_type_disagreements, 0 if agrees else 1)
                    said = "" if agrees else f"record {newer[0]} says {claim}, is {verdict}"
                    self.assertEqual(found.note, said)

    def test_a_company_counts_all_disagreements_and_names_five(self):
        found = diff.difference(COMPANY, Digests([]), records(*"12345678"), "a remark")
        self.assertEqual(found.change_type_disagreements, 8)
        said = [f"record {number} says UNCHANGED, is added" for number in "12345"]
        self.assertEqual(found.note, "; ".join(["a remark", *said]))

    def test_a_company_is_not_checked_where_there_is_no_change_type(self):
        found = diff.difference(COMPANY, Digests([]), records("1", change_type=None))
        self.assertEqual((found.added, found.change_type_disagreements), (1, None))

    def test_a_company_of_equal_content_is_unchanged_whatever_change_type_says(self):
        found = diff.difference(COMPANY, None, [*records("1"), *records("2", change_type="NEW")])
        numbers = found.added, found.removed, found.changed, found.unchanged, found.change_type_disagreements
        self.assertEqual(numbers, (0, 0, 0, 2, 1))

    def test_a_company_is_refused_where_an_id_stands_twice_in_the_newer_release(self):
        with self.assertRaisesRegex(DataError, f"company {COMPANY} stand in several parts"):
            diff.difference(COMPANY, Digests(records("1")), records("1", "2", "1"))


class LakeCase(WorldCase):
    """Two publications, both fetched."""

    def publish(self, day: str, rows: Iterable[Row], **selection: Any) -> None:
        self.site.publish(2024, rows, modified=day)
        pipeline = self.world.pipeline
        prepared = pipeline.prepare(a_selection(**selection), "", TotalsChoice(), trust_count=True)
        pipeline.commit(prepared.plan, pipeline.work(prepared))
        self.world.later(days=180)

    def pair(self) -> tuple[Release, Release]:
        return diff.pair_of(proved_releases(self.store, "general-payments", 2024), None, None)

    def compare(self, company_id: str | None = None, *, stop: Stop | None = None, **choice: Any) -> list[Difference]:
        check_stop = (stop or self.world.stop).check
        self.world.progress.__init__()  # type: ignore[misc]
        comparison = diff.Comparison(self.store, self.pair(), progress=self.world.progress, check_stop=check_stop)
        return comparison.run(company_id, **choice)

    def key(self, side: int, company_id: str = COMPANY) -> str:
        release = self.pair()[side]
        return lake_layout.open_payments.SliceKeys(release.dataset, release.year, release.name, company_id).part(1, 1)

    def replace(self, key: str, body: bytes) -> None:
        self.store.delete(key)
        self.store.put_new(key, body)


def marked(rows: Iterable[Row], change_type: str, **changes: str) -> list[Row]:
    """The rows as a later publication has them."""
    at = {title: index for index, title in enumerate(TITLES)}
    new = {at[CHANGE_TYPE]: change_type, at[PUBLICATION_DATE]: "01/23/2026"} | {
        at[title]: text for title, text in changes.items()
    }
    return [tuple(new.get(index, text) for index, text in enumerate(row)) for row in rows]


class TwoReleases(LakeCase):
    """``Comparison``."""

    def setUp(self) -> None:
        super().setUp()
        self.mine, self.others = payments(COMPANY, 6), payments(OTHER, 4)
        self.publish(DAYS[0], self.mine + self.others)

    def republish(self) -> None:
        """Of one company a record is gone, one is changed, two came; of the other nothing changed but its marks."""
        changed = marked(self.mine[1:2], "CHANGED", Contextual_Information='a "dinner"')
        more = marked(payments(COMPANY, 2, first=50), "ADD")
        self.publish(DAYS[1], [*changed, *marked(self.mine[2:], "UNCHANGED"), *more, *marked(self.others, "NEW")])

    def test_two_releases_are_compared_company_by_company(self):
        self.republish()
        self.assertEqual(
            self.compare(),
            [
                Difference(COMPANY, added=2, removed=1, changed=1, unchanged=4, change_type_disagreements=0),
                Difference(OTHER, 0, 0, 0, 4, None, "content hash equal, not read"),
            ],
        )

    def test_two_releases_are_shown_on_the_bar_to_the_last_row(self):
        self.republish()
        for choice in ({}, {"check_change_type": True}, {"company_id": OTHER}):
            with self.subTest(choice=choice):
                self.compare(**choice)
                shown = self.world.progress
                ((doing, slices, rows),) = shown.begun
                self.assertIn(f"{DAYS[0]}-00000001 with {DAYS[1]}-00000002", doing)
                self.assertEqual((shown.slices, shown.rows, shown.stopped), (slices, rows, 1))

    def test_two_releases_are_not_read_where_their_content_is_equal(self):
        self.republish()
        for side in (0, 1):
            self.store.delete(self.key(side, OTHER))
        self.assertEqual(len(self.compare()), 2)

    def test_two_releases_are_read_for_their_change_type_where_that_was_asked_for_the_newer_alone(self):
        self.republish()
        self.store.delete(self.key(0, OTHER))
        _, other = self.compare(check_change_type=True)
        self.assertEqual((other.unchanged, other.change_type_disagreements), (4, 4))
        said = [f"record {row[4]} says NEW, is unchanged" for row in self.others]
        note, *examples = other.note.split("; ")
        self.assertEqual((note, sorted(examples)), ("content hash equal", said))

    def test_two_releases_are_not_guessed_of_a_company_that_only_one_proves(self):
        self.publish(DAYS[1], marked(self.mine, "UNCHANGED") + payments("7", 2))
        newcomer, _, gone = self.compare()
        self.assertEqual(newcomer, Difference("7", note=f"proved in {DAYS[1]}-00000002 only"))
        self.assertEqual(gone, Difference(OTHER, note=f"proved in {DAYS[0]}-00000001 only"))
        fact = diff.fact_of(self.compare(), self.pair())
        self.assertEqual((fact["companies"], fact["in_one_only"], fact["nothing_changed"]), (3, 2, False))
        self.assertEqual((fact["added"], fact["removed"], fact["unchanged"]), (0, 0, 6))

    def test_two_releases_may_be_compared_for_one_company_that_one_of_them_proves(self):
        self.republish()
        self.assertEqual([one.company_id for one in self.compare(OTHER)], [OTHER])
        with self.assertRaisesRegex(NotFoundError, "company 99"):
            self.compare("99")

    def test_two_releases_are_refused_where_a_part_has_a_flipped_byte(self):
        self.republish()
        for side in (0, 1):
            key = self.key(side)
            good = self.store.get(key) or b""
            for at in range(good.index(b"\n"), len(good), 7):
                with self.subTest(side=side, at=at):
                    self.replace(key, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
                    with self.assertRaisesRegex(DataError, "is not the part that its audit proves: ") as caught:
                        self.compare()
                    self.assertIn(key, str(caught.exception))
            self.replace(key, good)
        self.assertEqual(len(self.compare()), 2)

    def test_two_releases_are_refused_where_the_list_of_audits_is_not_the_one_that_the_manifest_names(self):
        self.republish()
        key = lake_layout.runs.file_audits(newest(self.store, [""]))
        self.store.put(key, (self.store.get(key) or b"").replace(b'"records":4', b'"records":5'))
        with self.assertRaisesRegex(DataError, f"{key} is not the file that the manifest beside it names"):
            self.compare()

    def test_two_releases_end_when_asked_to_even_where_nothing_is_read(self):
        self.publish(DAYS[1], marked(self.mine + self.others, "UNCHANGED"))
        stop = Stop()
        stop.request()
        with self.assertRaises(StoppedError):
            self.compare(stop=stop)
        self.assertEqual(self.world.progress.stopped, 1)

    def test_two_releases_end_in_the_middle_of_a_company_when_asked_to(self):
        self.republish()
        stop = Stop()

        class Asking(Shown):
            def advance(self, *, rows: int = 0, units: int = 0, bytes_read: int = 0) -> None:
                stop.request()

        comparison = diff.Comparison(self.store, self.pair(), progress=Asking(), check_stop=stop.check)
        with self.assertRaises(StoppedError):
            comparison.run(COMPANY)

    def test_two_releases_are_compared_by_id_across_parts(self):
        rows = payments(COMPANY, 61_000, days=("01/15/2024", "11/15/2024"), first=100)
        self.publish(DAYS[1], rows)
        moved = marked(rows[:1], "CHANGED", Date_of_Payment="12/24/2024") + marked(rows[2:], "UNCHANGED")
        self.publish(DAYS[2], moved)
        self.assertEqual(len(list(self.store.list("raw/"))), 2 + 2 + 2)
        self.assertEqual(self.compare(), [Difference(COMPANY, 0, 1, 1, 60_998, change_type_disagreements=0)])

    def test_two_releases_say_where_their_columns_differ_which_changes_every_record(self):
        titles = (*TITLES[:-1], "More", TITLES[-1])
        rows = [(*row[:-1], "", row[-1]) for row in marked(self.mine, "UNCHANGED")]
        self.site.publish(2024, rows, modified=DAYS[1], titles=titles)
        pipeline = self.world.pipeline
        prepared = pipeline.prepare(a_selection(), "", TotalsChoice(), trust_count=True)
        pipeline.commit(prepared.plan, pipeline.work(prepared))
        (found,) = self.compare(COMPANY)
        self.assertEqual((found.changed, found.unchanged, found.change_type_disagreements), (6, 0, 6))
        self.assertTrue(found.note.startswith("the columns of the releases differ; record "))


class Reports(LakeCase):
    FOUND = (
        Difference(COMPANY, 2, 1, 1, 4, 1, "record 7 says NEW, is changed"),
        Difference(OTHER, note="proved in x only"),
    )
    KEY = "metadata/diffs/dataset=general-payments/year=2024/2025-06-30-9323b84e_to_2026-01-23-9323b84e"

    def setUp(self) -> None:
        super().setUp()
        first, second = named(*DAYS[:2])
        self.both = first, second

    def publish_report(self, found: Sequence[Difference] = FOUND, company_id: str | None = None) -> str:
        return diff.publish_report(self.store, self.both, found, company_id)

    def test_reports_have_a_line_a_company_and_nothing_where_nothing_is_known(self):
        key = self.publish_report()
        self.assertEqual(key, f"{self.KEY}.csv")
        lines = list(csv.reader(io.StringIO((self.store.get(key) or b"").decode())))
        self.assertEqual(
            lines,
            [
                ["company_id", "added", "removed", "changed", "unchanged", "change_type_disagreements", "note"],
                [COMPANY, "2", "1", "1", "4", "1", "record 7 says NEW, is changed"],
                [OTHER, "", "", "", "", "", "proved in x only"],
            ],
        )

    def test_reports_are_written_once_and_stand_beside_each_other_where_they_differ(self):
        self.assertEqual([self.publish_report(), self.publish_report()], [f"{self.KEY}.csv"] * 2)
        self.assertEqual(len(self.store.writes), 1)
        first = self.store.get(f"{self.KEY}.csv")
        self.assertEqual(self.publish_report(self.FOUND[:1]), f"{self.KEY}.2.csv")
        self.assertEqual(self.publish_report(self.FOUND[:1]), f"{self.KEY}.2.csv")
        self.assertEqual(self.publish_report(), f"{self.KEY}.csv")
        self.assertEqual(self.store.get(f"{self.KEY}.csv"), first)

    def test_reports_of_one_company_do_not_take_the_name_of_that_of_all(self):
        self.assertEqual(self.publish_report(self.FOUND[:1], COMPANY), f"{self.KEY}_company_id={COMPANY}.csv")

    def test_reports_sum_up_to_a_fact_and_a_table_that_say_when_nothing_changed(self):
        same = Difference(COMPANY, 0, 0, 0, 1234, None, "content hash equal, not read")
        for found, nothing_changed in [
            ((same,), True),
            ((same, Difference(OTHER, 0, 0, 0, 1, 3)), True),
            ((same, Difference(OTHER, 1, 0, 0, 1, 0)), False),
            ((same, Difference(OTHER, 0, 1, 0, 1, 0)), False),
            ((same, Difference(OTHER, 0, 0, 1, 1, 0)), False),
            ((same, self.FOUND[1]), False),
        ]:
            with self.subTest(found=found):
                fact = diff.fact_of(found, self.both)
                self.assertIs(fact["nothing_changed"], nothing_changed)
                table = diff.table_of(fact | {"report": "a/key.csv"})
                self.assertEqual("republished, nothing changed" in table, nothing_changed)
                self.assertIn("2025-06-30-9323b84e to 2026-01-23-9323b84e of general-payments 2024", table)
                self.assertIn("1,23", table)
                self.assertIn("a/key.csv", table)
