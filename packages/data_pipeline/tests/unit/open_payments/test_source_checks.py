import json
import re
import tempfile
import unittest
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data_pipeline.doctor.checks import status_of
from data_pipeline.doctor.lake import OF_LAKE, LakeDoctor
from data_pipeline.open_payments.assumptions import OF_SOURCE
from data_pipeline.open_payments.schema import DATE_OF_PAYMENT, PAYER_ID
from data_pipeline.open_payments.source_checks import SourceDoctor, examine, questions
from etl_core.errors import AccessError, UnavailableError, UsageError
from etl_core.lake import Body, ObjectInfo, ObjectStore, PutResult, content_of
from etl_core.lake.directory import DirectoryStore
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    OTHER,
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
    """A site of which everything holds, until it is told otherwise."""

    def setUp(self) -> None:
        self.world = World(attempts=1)
        self.addCleanup(self.world.close)
        self.site.publish(2024, ROWS)
        self.site.summarise(y2024=len(ROWS))
        self.downloads: list[tuple[Callable[[Asked], bool], Change]] = []

    def download(self, change: Change, which: Callable[[Asked], bool] = lambda _asked: True) -> None:
        """Change the downloads of a kind, beside all that others change."""
        self.downloads.append((which, change))

    def examine(self, year: int | None = None) -> tuple[dict[str, Any], int]:
        cached = with_headers(Cache_Control="max-age=3600, public")
        self.site.fault("download", self._changed(cached), NEVER, when=self._seen)
        self.said: list[str] = []
        return examine(self.store, self.world.source, year, of_lake=False, now=self.world.now, say=self.said.append)

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

    def not_held(self) -> set[str]:
        fact, _ = self.examine()
        self.assertEqual(fact["of_source"]["no_answer"], [])
        return set(fact["of_source"]["not_held"])


class TheSource(SourceCase):
    def test_is_as_we_assume(self):
        fact, status = self.examine()

        ids = [one.id for one in OF_SOURCE]
        self.assertEqual((status, fact["status"]), (0, "held"))
        self.assertEqual(fact["of_source"], {
            "held": len(ids) - 1, "not_held": [], "not_asked": ["retry_after_form"], "no_answer": [],
        })  # fmt: skip
        self.assertEqual([line.split(":")[0].split()[-1] for line in self.said], ids)

    def test_is_asked_at_most_25_times_and_once_each(self):
        self.examine()

        self.assertLessEqual(len(self.site.asked), 25)
        once = [asked for asked in self.site.asked if asked.kind not in ("download", "groups", "rows")]
        self.assertEqual(len(once), len(set(once)))

    def test_with_too_many_payers_is_not_asked_more_often(self):
        payers = [row for number in range(3_000) for row in payments(str(200_000_000_000 + number), 1)]
        self.site.publish(2024, ROWS + payers)
        self.site.summarise(y2024=len(ROWS) + len(payers))
        fact, status = self.examine()

        self.assertLessEqual(len(self.site.asked), 25)
        self.assertEqual((status, fact["of_source"]["not_held"]), (0, []))
        self.assertIn("grouped_counts_sum", fact["of_source"]["not_asked"])

    def test_is_asked_for_the_rows_of_small_companies_only(self):
        self.site.publish(2024, ROWS + payments(LARGE, 12_001, days=DAYS))
        self.examine()

        asked = {asked["conditions[0][value]"] for asked in self.site.of_kind("download")}
        self.assertEqual(asked, {COMPANY, LONG, "0"})

    def test_is_asked_for_no_long_answer_where_no_company_is_just_above_5000_rows(self):
        rows = [row for row in ROWS if row[1] != LONG]
        self.site.publish(2024, rows)
        self.site.summarise(y2024=len(rows))
        fact, status = self.examine()

        self.assertEqual(status, 0)
        self.assertEqual(
            fact["of_source"]["not_asked"], ["long_answers", "unsorted_answer_complete", "retry_after_form"]
        )

    def test_that_sends_more_than_a_company_has_is_not_read_to_the_end(self):
        self.download(edits(lambda body: body * 30), about(LONG))

        self.assertEqual(self.not_held(), {"long_answers"})
        self.assertIn("the rest was not read", "".join(self.said))

    def test_is_asked_about_the_year_given(self):
        self.site.publish(2023, payments(COMPANY, 30))
        self.assertEqual(self.examine(2023)[0]["year"], 2023)
        self.assertEqual(self.examine()[0]["year"], 2024)

    def test_has_no_such_year(self):
        with self.assertRaisesRegex(UsageError, "no program year 1999; it has 2024"):
            self.examine(1999)


class AnAssumption(SourceCase):
    def test_that_does_not_hold_is_found_alone(self):
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
            (
                "row_cap_500",
                "rows",
                lambda _real: Reply(body=json.dumps({"results": [{}] * 501}).encode()),
                when(limit="501"),
            ),
            ("count_false_spares", "rows", changed_json(lambda answer: answer.update(count=3)), when(limit="500")),
            ("unknown_parameters_ignored", "count", says(400), when(filter__program_year="1900")),
            ("unknown_parameters_ignored", "count", sends({"count": 0}), when(filter__program_year="1900")),
            ("grouped_counts", "groups", says(400, "Database internal error."), when(groupings__0=PAYER)),
            ("grouped_counts", "groups", says(400), when(groupings__0=PAYER)),
            ("grouped_counts", "groups", sends({"results": []}), when(groupings__0=PAYER)),
            ("grouped_counts", "groups", swaps(TINY.encode(), b"a name"), when(groupings__0=PAYER)),
            ("grouped_counts_sum", "groups", swaps(b'"rows": "3"', b'"rows": "4"'), when(groupings__0=PAYER)),
            ("date_ranges_as_text", "groups", swaps(b"01/15/2024", b"12/14/2024"), when(groupings__0=DAY)),
            ("window_counts_tile", "count", sends({"count": 7}), when(conditions__1__operator=">=")),
        ]
        for name, kind, change, which in cases:
            with self.subTest(name=name):
                self.setUp()
                self.site.fault(kind, change, NEVER, when=which)
                self.assertEqual(self.not_held(), {name})

    def test_of_downloads_that_does_not_hold_is_found_alone(self):
        small = about(COMPANY)
        whole = lambda asked: small(asked) and not asked["offset"]  # noqa: E731
        again = lambda asked: whole(asked) and len(self.site.of_kind("download")) == 2  # noqa: E731
        fresh = lambda asked: asked.past_caches  # noqa: E731
        later = when(offset="20")
        header = re.compile(rb"\A[^\n]*\n")
        first = lambda body: body.split(b"\n")[1] + b"\n"  # noqa: E731
        again_the_first = lambda body: cut_after(5_009)(Reply(body=body)).body + first(body)  # noqa: E731
        cases: list[tuple[set[str], Change, Callable[[Asked], bool]]] = [
            ({"conditions_honoured"}, in_row(b"0053", b"0066"), small),
            ({"conditions_honoured"}, without(ROW), small),
            ({"header_is_schema"}, swaps(b"Contextual_Information", b"Context"), when()),
            ({"header_is_schema"}, swaps(b",Contextual_Information", b""), when()),
            ({"header_titles"}, edits(lambda body: header.sub(lambda line: line[0].lower(), body)), when()),
            ({"dialect"}, in_row(b'"', b""), small),
            ({"dialect"}, in_row(b"a lunch", b'a "lunch'), small),
            ({"dialect"}, swaps(b'"a lunch, late"', b"a lunch, late", 1), about(LONG)),
            ({"encoding_utf8"}, swaps(b"lunch", b"l\xfcnch"), small),
            ({"encoding_utf8"}, swaps(b"lunch", b"l\xfcnch", 1), about(LONG)),
            ({"encoding_utf8", "header_is_schema"}, edits(lambda body: b"\xef\xbb\xbf" + body), when()),
            ({"line_end"}, swaps(b"\n", b"\r\n", 1), when()),
            ({"line_end"}, edits(lambda body: body[:-1]), whole),
            ({"caching_headers"}, with_headers(Cache_Control="max-age=86400, public"), when()),
            ({"caching_headers"}, with_headers(Cache_Control=""), when()),
            ({"answers_not_kept"}, with_headers(Age="0"), again),
            ({"answers_not_kept"}, with_headers(X_Cache="TCP_HIT from a1"), again),
            ({"fresh_parameter_ignored"}, with_headers(Age="9"), fresh),
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
                self.assertEqual(self.not_held(), names)

    def test_that_others_need_leaves_them_unasked(self):
        self.site.fault("groups", says(400, "Database internal error."), NEVER)
        fact, status = self.examine()

        self.assertEqual(status, 0)
        self.assertEqual(fact["of_source"]["not_held"], ["grouped_counts"])
        self.assertIn("conditions_honoured", fact["of_source"]["not_asked"])
        self.assertEqual([asked["conditions[0][value]"] for asked in self.site.of_kind("download")], ["0"])

    def test_that_is_required_and_does_not_hold_is_status_3_with_a_remedy(self):
        self.download(edits(lambda body: body.replace(b"Context", b"Text")))
        fact, status = self.examine()

        self.assertEqual((status, fact["status"]), (3, "not held"))
        (line,) = [line for line in self.said if line.startswith("DOES NOT HOLD")]
        (one,) = [one for one in OF_SOURCE if one.id == "header_is_schema"]
        self.assertIn("Textual_Information", line)
        self.assertTrue(line.endswith(one.otherwise))

    def test_has_a_question_and_a_remedy(self):
        ids = [one.id for one in (*OF_SOURCE, *OF_LAKE)]
        self.assertEqual(len(ids), len(set(ids)))
        for one in (*OF_SOURCE, *OF_LAKE):
            with self.subTest(one=one.id):
                self.assertTrue(one.asks.endswith("?"))
                self.assertTrue(one.otherwise.endswith(".") or one.id == "retry_after_form")

    def test_is_printed_as_a_question_and_nobody_is_asked(self):
        self.assertEqual(len(questions(of_lake=True, of_source=True)), len(OF_SOURCE) + len(OF_LAKE))
        self.assertEqual(len(questions(of_lake=False, of_source=True)), len(OF_SOURCE))
        self.assertEqual(
            questions(of_lake=True, of_source=False)[0], "writable: Can an object be written and read back?"
        )


class AnUnwellSource(SourceCase):
    def test_is_left_alone_at_once(self):
        for name, change in [("503", says(503, Retry_After="120")), ("blocked", blocks), ("gone", nobody_answers)]:
            with self.subTest(name):
                self.setUp()
                self.site.fault("groups", change, NEVER)
                fact, status = self.examine()

                self.assertEqual((status, fact["status"], fact["of_source"]["not_held"]), (4, "no answer", []))
                self.assertEqual(fact["of_source"]["no_answer"][0], "grouped_counts")
                self.assertIn("unsorted_answer_complete", fact["of_source"]["no_answer"])
                self.assertEqual(self.site.kinds()[-1], "groups")

    def test_that_contradicted_something_required_before_is_status_3(self):
        self.site.fault("table", says(404))
        self.site.fault("script", says(404))
        self.assertEqual(self.examine()[1], 3)
        self.setUp()
        self.site.fault("sum", sends({"results": [{"rows": "99999"}]}))
        self.site.fault("groups", says(500))
        self.assertEqual(self.examine()[1], 3)


class AReport(SourceCase):
    def test_is_kept_in_the_lake_with_what_to_do(self):
        self.site.fault(
            "rows", lambda _real: Reply(body=json.dumps({"results": [{}] * 501}).encode()), when=when(limit="501")
        )
        fact, _ = self.examine()

        self.assertEqual(fact["report"], f"metadata/doctor/source-{START:%Y-%m-%dT%H-%M-%S-%f}.json")
        report = json.loads(self.store.get(fact["report"]) or b"")
        self.assertEqual((report["schema_version"], report["year"]), (1, 2024))
        found = {one["id"]: one for one in report["findings"]}
        self.assertEqual(list(found), [one.id for one in OF_SOURCE])
        self.assertEqual(found["row_cap_500"]["verdict"], "not_held")
        self.assertIn("501 rows were answered", found["row_cap_500"]["found"])
        self.assertIn("spare the source", found["row_cap_500"]["otherwise"])
        self.assertEqual(found["catalogue"]["verdict"], "held")

    def test_that_cannot_be_kept_was_said_all_the_same(self):
        class Full(MemoryStore):
            def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
                raise AccessError("the disk is full.")

        said: list[str] = []
        fact, status = examine(Full(), self.world.source, None, of_lake=False, now=self.world.now, say=said.append)
        self.assertEqual((status, fact["report"]), (0, ""))
        self.assertEqual(said[-1], "the report of the source could not be kept: the disk is full.")
        self.assertEqual(len(said), len(OF_SOURCE) + 1)


# ------------------------------------------------------------------------------------------------ lakes


class Overwriting(MemoryStore):
    """Accepts create-only, and overwrites."""

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        assert isinstance(body, bytes)
        self.put(key, body)
        return PutResult(True, content_of(body))


class TellingAndOverwriting(MemoryStore):
    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        told = super().put_new(key, body)
        assert isinstance(body, bytes)
        self.put(key, body)
        return told


class Accepting(MemoryStore):
    """Keeps the first, and tells everybody that they created it."""

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        return replace(super().put_new(key, body), created=True)


class Forgetful(MemoryStore):
    def get(self, key: str) -> bytes | None:
        return None


class Changing(MemoryStore):
    """Tells another hash of what is there."""

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        told = super().put_new(key, body)
        return told if told.created or body != b"first" else replace(told, sha256="0" * 64)


class Blind(MemoryStore):
    def list(self, prefix: str) -> Any:
        return iter(())


class Clinging(MemoryStore):
    def delete(self, key: str) -> None:
        raise AccessError("not allowed.")


class Closed(MemoryStore):
    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        raise AccessError("read only.")


class Down(MemoryStore):
    def list(self, prefix: str) -> Any:
        raise UnavailableError("cannot list: 503.")


class Unseen(MemoryStore):
    def head(self, key: str) -> ObjectInfo | None:
        return None


def now() -> datetime:
    return datetime.now(UTC)


class TheLake(unittest.TestCase):
    def examined(self, store: ObjectStore, doctor: LakeDoctor | None = None) -> tuple[dict[str, str], int]:
        said: list[str] = []
        found = (doctor or LakeDoctor(store, now)).examine(said.append)
        self.assertEqual(len(said), len(OF_LAKE))
        return {one.assumption.id: one.verdict for one in found}, status_of(found)

    def not_held(self, store: ObjectStore) -> set[str]:
        return {name for name, verdict in self.examined(store)[0].items() if verdict == "not_held"}

    def test_keeps_its_promises(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "lake"
            store = DirectoryStore(root)
            doctor = LakeDoctor(store, now, lambda _root: 10_000_000_000)
            found, status = self.examined(store, doctor)
            store.close()
            self.assertEqual((set(found.values()), status), ({"held"}, 0))
            self.assertEqual([path for path in root.rglob("*") if path.is_file()], [])

    def test_without_an_end_is_not_asked_for_room(self):
        self.assertEqual(self.examined(MemoryStore())[0]["free_space"], "not_asked")

    def test_without_room_for_a_year_is_found_out(self):
        with tempfile.TemporaryDirectory() as folder:
            store = DirectoryStore(Path(folder))
            found, status = self.examined(store, LakeDoctor(store, now, lambda _root: 9_000_000_000))
            store.close()
        self.assertEqual((found["free_space"], status), ("not_held", 0))

    def test_that_breaks_a_promise_is_found_out(self):
        for store, names in [
            (Overwriting(), {"create_only_told", "create_only_kept", "same_content_agrees"}),
            (TellingAndOverwriting(), {"create_only_kept"}),
            (Accepting(), {"create_only_told", "same_content_agrees"}),
            (Changing(), {"same_content_agrees"}),
            (Forgetful(), {"writable"}),
            (Closed(), {"writable"}),
            (Blind(), {"listed"}),
        ]:
            with self.subTest(store=type(store).__name__):
                self.assertEqual(self.not_held(store), names)
                self.assertEqual(self.examined(store)[1], 3)
                self.assertEqual(list(MemoryStore.list(store, "")), [])

    def test_whose_probe_stays_is_found_out_and_may_be_so(self):
        found, status = self.examined(Clinging())
        self.assertEqual((found["deletable"], status), ("not_held", 0))

    def test_whose_clock_is_off_is_found_out(self):
        for minutes, verdict in [(-6, "not_held"), (-4, "held"), (4, "held"), (6, "not_held")]:
            with self.subTest(minutes=minutes):
                store = MemoryStore(now=lambda minutes=minutes: now() + timedelta(minutes=minutes))  # type: ignore[misc]
                self.assertEqual(self.examined(store)[0]["clock"], verdict)
        self.assertEqual(self.not_held(Unseen()), {"clock"})

    def test_that_does_not_answer_is_asked_nothing_more_and_keeps_no_probe(self):
        store = Down()
        found, status = self.examined(store)
        self.assertEqual(status, 4)
        self.assertEqual([name for name, verdict in found.items() if verdict == "no_answer"], [
            "listed", "clock", "deletable", "free_space",
        ])  # fmt: skip
        self.assertEqual(list(MemoryStore.list(store, "")), [])

    def test_and_the_source_are_examined_together(self):
        world = World(attempts=1)
        self.addCleanup(world.close)
        world.site.publish(2024, ROWS)
        said: list[str] = []
        fact, status = examine(world.store, world.source, None, of_lake=True, now=now, say=said.append)
        self.assertEqual((status, fact["of_lake"]["held"], len(said)), (0, 7, len(OF_LAKE) + len(OF_SOURCE)))
        self.assertEqual(SourceDoctor(world.source, 2024).about, {"year": 2024, "distribution_id": None})
