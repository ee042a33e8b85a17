"""A domain of pages plans, records attempts, commits, is found again and is read, by what every run has."""

import re
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import data_pipeline.runs
from data_pipeline import lake_layout
from data_pipeline.runs import attempts, committed, plans, pointers
from data_pipeline.runs.status import exit_code_of
from etl_core.errors import ConflictError, DataError, NotFoundError
from etl_core.lake import Body, ObjectInfo, PutResult
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.runs import pages
from packages.data_pipeline.tests.unit.runs.pages import (
    START,
    PageAttempt,
    PageAudit,
    PagesManifest,
    PagesPlan,
    Sweep,
    a_plan,
    a_run,
    commit_pages,
    fetch,
    opened,
)

LIST = "metadata/runs/run_id=r1/file_audits.jsonl"


class CountingStore(MemoryStore):
    """Counts the requests that S3 would get: of a listing its first page."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []

    def get(self, key: str) -> bytes | None:
        self.requests.append(f"get {key}")
        return super().get(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.requests.append(f"list {prefix}")
        return super().list(prefix)

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        self.requests.append(f"put {key}")
        return super().put_new(key, body, sha256=sha256)


class LakeCase(unittest.TestCase):
    def setUp(self) -> None:
        self.store = CountingStore()

    def newest(self, edition: str = "only", **sweep: Any) -> str | None:
        found = plans.newest_plan(PagesPlan, self.store, a_plan(**sweep).selection, edition)
        return found.run_id if found else None


class Plans(LakeCase):
    def test_come_after_their_pointers(self):
        plans.write_plan(self.store, a_plan())

        self.assertEqual(self.store.writes, [*pointers.of_plan(a_plan()), "metadata/runs/run_id=r1/plan.json"])

    def test_of_other_selections_take_the_next_name(self):
        names = [plans.write_plan(self.store, a_plan(at_most=number)).run_id for number in (1, 2, 3)]

        self.assertEqual(names, ["r1", "r1-2", "r1-3"])

    def test_of_the_same_selection_are_joined_until_it_is_committed(self):
        first = plans.write_plan(self.store, a_plan(pages=2))

        self.assertEqual(plans.write_plan(self.store, a_plan(pages=5, minutes=1)), first)
        commit_pages(self.store, first, [])
        self.assertEqual(plans.write_plan(self.store, a_plan(pages=5, minutes=2)).run_id, "r1-2")

    def test_are_found_by_their_selection_the_newest_first(self):
        self.assertIsNone(self.newest())
        for number, run_id in enumerate(("z", "a", "m")):
            plans.write_plan(self.store, a_plan(run_id, minutes=number))
        plans.write_plan(self.store, a_plan("other", minutes=9, at_most=1))

        self.assertEqual((self.newest(), self.newest(at_most=1), self.newest(at_most=2)), ("m", "other", None))
        self.assertEqual(plans.newest_run(self.store), "other")

    def test_are_found_by_one_listing_and_one_read_however_many_there_are(self):
        for number in range(50):
            plans.write_plan(self.store, a_plan(f"r{number}", minutes=number, at_most=number % 2))
        self.store.requests.clear()

        self.assertEqual(self.newest(at_most=1), "r49")
        self.assertEqual([one.split(" ")[0] for one in self.store.requests], ["list", "get"])

    def test_that_were_never_written_leave_pointers_that_hurt_nobody(self):
        """The process was killed between the two writes."""
        plans.write_plan(self.store, a_plan("r1"))
        pointers.write(self.store, pointers.of_plan(a_plan("r2", minutes=5)))

        self.assertEqual((self.newest(), plans.newest_run(self.store)), ("r1", "r1"))

    def test_of_another_selection_under_a_pointer_are_not_taken(self):
        plans.write_plan(self.store, a_plan("r1"))
        plans.write_plan(self.store, a_plan("r1", minutes=5, at_most=7))

        self.assertEqual((self.newest(), self.newest(at_most=7)), ("r1", "r1-2"))

    def test_are_found_where_files_that_are_no_pointers_lie_among_them(self):
        plans.write_plan(self.store, a_plan("r1"))
        folder = pointers.of_plan(a_plan())[0].rpartition("/")[0]
        self.store.put(f"{folder}/notes.txt", b"")
        self.store.put(f"{folder}/000000000000000000_copy of r1", b"")
        self.store.put(f"{folder}/999999999999999999_r1", b"")

        self.assertEqual(self.newest(), "r1")

    def test_must_be_there_where_a_run_is_named(self):
        with self.assertRaisesRegex(NotFoundError, "memory:// has no run r9"):
            plans.require_plan(PagesPlan, self.store, "r9")
        with self.assertRaisesRegex(NotFoundError, "memory:// has no run yet"):
            plans.newest_run(self.store)

    def test_run_out_of_names_after_a_thousand(self):
        for name in plans.names_of("r1"):
            self.store.put(f"metadata/runs/run_id={name}/plan.json", a_plan(at_most=1).to_bytes())

        with self.assertRaisesRegex(ConflictError, "1000 runs are named r1. Choose another --run-id"):
            plans.write_plan(self.store, a_plan())


class Selections(unittest.TestCase):
    def test_keep_their_name_when_a_later_version_can_be_asked_for_more(self):
        class Later(Sweep):
            since: str | None = None

        self.assertEqual(pointers.hash_of(Later(listing="people")), pointers.hash_of(Sweep(listing="people")))
        self.assertNotEqual(
            pointers.hash_of(Later(listing="people", since="2026")), pointers.hash_of(Sweep(listing="people"))
        )


class Attempts(LakeCase):
    def test_are_kept_by_run_and_unit_the_oldest_first(self):
        for page, minutes in ((1, 5), (0, 3), (1, 1)):
            attempts.write_attempt(self.store, pages.an_attempt(page, temporary=True, minutes=minutes))
        attempts.write_attempt(self.store, pages.an_attempt(7, temporary=True, run_id="r2"))

        found = [one.page for one in attempts.read_attempts(PageAttempt, self.store, "r1")]
        one = attempts.read_attempts(PageAttempt, self.store, "r1", unit="page=1")
        rest = attempts.read_attempts(PageAttempt, self.store, "r1", leave_out={"page=1"})

        self.assertEqual((found, len(one), [attempt.page for attempt in rest]), ([1, 0, 1], 2, [0]))

    def test_say_whether_running_again_helps(self):
        done = a_run(self.store, "done")
        refused = a_run(self.store, "refused", missing=1)
        later = pages.an_attempt(1, temporary=True, minutes=3)
        first = pages.an_attempt(1, temporary=False)
        for manifest, tried, code in [
            (done, [], 0), (refused, [first], 3), (refused, [first, later], 4), (refused, [], 4),
            (refused.model_copy(update={"status": "torn"}), [first], 4),
        ]:  # fmt: skip
            with self.subTest(status=manifest.status, tried=len(tried)):
                self.assertEqual(exit_code_of(manifest, tried), code)


class ACommit(LakeCase):
    def test_is_written_last_and_once(self):
        first = a_run(self.store)
        again = commit_pages(self.store, a_plan(), [])

        self.assertEqual(again, first)
        self.assertEqual(self.store.writes.count("metadata/runs/run_id=r1/manifest.json"), 1)

    def test_of_another_process_stands_and_so_does_its_list(self):
        first = a_run(self.store)

        again = commit_pages(self.store, a_plan(), [fetch(self.store, "r1", 0)])

        self.assertEqual(again, first)
        self.assertEqual([part.page for part in opened(self.store).parts()], [0, 1])

    def test_whose_list_was_damaged_is_repaired_by_the_next_commit(self):
        """A process that lost the race was killed after it wrote its own list."""
        first = a_run(self.store)
        self.store.put(LIST, b"its own")

        self.assertEqual(commit_pages(self.store, a_plan(), [fetch(self.store, "r1", 0)]), first)
        self.assertEqual(len(opened(self.store).parts()), 2)


class ReadAgain(LakeCase):
    def test_gives_manifest_parts_and_records(self):
        manifest = a_run(self.store)

        run = opened(self.store)

        self.assertEqual(run.manifest, manifest)
        self.assertEqual([part.page for part in run.parts()], [0, 1])
        self.assertEqual([record["id"] for part in run.parts() for record in run.records(part)], [0, 1, 2, 3])
        self.assertEqual(run.uri(run.parts()[0]), "memory://raw/people/run_id=r1/page-0.json.gz")
        self.assertEqual(b"".join(part.to_bytes() for part in run.parts()), self.store.get(LIST))

    def test_finds_the_newest_of_a_selection_that_is_complete(self):
        a_run(self.store, "a", minutes=1)
        a_run(self.store, "b", minutes=20, missing=1)
        a_run(self.store, "c", minutes=30, at_most=1)
        plans.write_plan(self.store, a_plan("d", minutes=40))

        def newest(**choice: bool) -> str:
            found = committed.newest_run(self.store, Sweep(listing="people"), PagesManifest, PageAudit, **choice)
            return found.manifest.run_id if found else ""

        self.assertEqual((newest(), newest(closed=False)), ("a", "b"))
        self.assertIsNone(committed.newest_run(self.store, Sweep(listing="x"), PagesManifest, PageAudit))

    def test_refuses_runs_that_are_not_there_or_not_committed(self):
        plans.write_plan(self.store, a_plan())
        for run_id, error, says in [
            ("r9", NotFoundError, "has no run r9"),
            ("r1", DataError, "run r1 is not committed"),
        ]:
            with self.subTest(run_id=run_id), self.assertRaisesRegex(error, says):
                opened(self.store, run_id)

    def test_refuses_a_list_that_the_manifest_does_not_name(self):
        a_run(self.store)
        for body in (None, b"", (self.store.get(LIST) or b"").replace(b'"records":2', b'"records":3')):
            with self.subTest(body=body):
                self.store.delete(LIST)
                if body is not None:
                    self.store.put(LIST, body)
                with self.assertRaisesRegex(DataError, f"{LIST} is not the file that the manifest beside it names"):
                    opened(self.store).parts()

    def test_names_the_part_that_is_missing_or_has_other_bytes(self):
        a_run(self.store)
        run = opened(self.store)
        part = run.parts()[1]
        good = self.store.get(part.key) or b""
        for body in (None, good[:-1], good + b"x", bytes([good[0], good[1] ^ 1]) + good[2:]):
            with self.subTest(body=body):
                self.store.delete(part.key)
                if body is not None:
                    self.store.put(part.key, body)
                with self.assertRaisesRegex(DataError, f"{part.key} is not the part that its audit proves") as caught:
                    list(run.chunks(part))
                self.assertIn("Restore it", str(caught.exception))

    def test_names_the_part_that_has_another_number_of_records(self):
        plan = plans.write_plan(self.store, a_plan())
        page = fetch(self.store, "r1", 0, records=3)
        commit_pages(self.store, plan, [page])
        run = opened(self.store)

        with self.assertRaisesRegex(DataError, f"{page.key} is not .*: 2 records, proved were 3"):
            list(run.records(run.parts()[0]))


class TheText(unittest.TestCase):
    def test_of_what_every_run_has_names_no_domain(self):
        terms = re.compile(r"open.?payments|\bcms\b|payer|compan|slice|window|customer|agency|dataset", re.IGNORECASE)
        for path in sorted(Path(data_pipeline.runs.__file__).parent.glob("*.py")):
            with self.subTest(file=path.name):
                self.assertEqual(terms.findall(path.read_text()), [])


class Moments(unittest.TestCase):
    def test_of_pointers_come_back_to_the_microsecond(self):
        moment = START.replace(microsecond=123457)
        key = lake_layout.runs.pointer("metadata/selections/all/", moment, "r1")

        self.assertEqual(lake_layout.runs.run_of_pointer(key), ("r1", moment))
        self.assertIsNone(lake_layout.runs.run_of_pointer("metadata/selections/all/r1"))
