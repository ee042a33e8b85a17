import unittest
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.customers.documents import CustomersAttempt, CustomersPlan
from data_pipeline.customers.run import Ended, ingest, rerun
from data_pipeline.runs.attempts import read_attempts
from data_pipeline.runs.listing import newest
from data_pipeline.runs.plans import all_runs
from etl_core.errors import AccessError, DataError, NotFoundError, UnavailableError, UsageError
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.customers.fake_api import URL, Days, FakeApi, a_crm


class RunCase(unittest.TestCase):
    def setUp(self) -> None:
        self.store = MemoryStore()
        self.addCleanup(self.store.close)
        self.api, self.clock = FakeApi(), Days()

    def ingest(self, run_id: str = "", *, new: bool = False, **changes: Any) -> Ended:
        return ingest(a_crm(self.store, self.api, self.clock, **changes), run_id, new=new)

    def rerun(self, run_id: str) -> Ended:
        return rerun(a_crm(self.store, self.api, self.clock), run_id)

    def fail_on(self, *pages: int, error: Exception | None = None) -> None:
        failure = error or UnavailableError("down")
        self.api.failing = lambda page: failure if page in pages else None

    def works(self) -> None:
        self.api.asked.clear()
        self.api.failing = lambda _page: None


class ARun(RunCase):
    def test_of_two_days_is_two_runs_each_under_its_own_day(self):
        first = self.ingest().manifest
        self.clock.now += 86_400
        ended = self.ingest()
        self.assertTrue(ended.worked)
        self.assertEqual(
            [one.extract.key for one in (first, ended.manifest)],
            [
                "raw/customers/date=2026-11-29/customers_extract_20261129_141500.csv",
                "raw/customers/date=2026-11-30/customers_extract_20261130_141500.csv",
            ],
        )

    def test_that_is_finished_on_another_day_keeps_the_day_of_its_plan(self):
        self.fail_on(2, 3)
        with self.assertRaisesRegex(UnavailableError, "stopped after 2 pages in a row failed, the last: down"):
            self.ingest()
        self.works()
        self.clock.now += 3 * 86_400
        manifest = self.ingest().manifest
        self.assertEqual((manifest.extract.key[:29], self.api.asked), ("raw/customers/date=2026-11-29", [2, 3]))
        self.assertEqual(manifest.retries, 2, "those of the process before count, too")

    def test_of_another_api_is_not_continued(self):
        self.fail_on(2, 3)
        with self.assertRaises(UnavailableError):
            self.ingest()
        self.works()
        self.api.url = "https://other.test/api/v1/customers"
        self.ingest()
        self.assertEqual(self.api.asked, [1, 2, 3])

    def test_under_a_name_is_continued_or_done_and_a_new_one_gets_a_number(self):
        self.fail_on(2, 3)
        with self.assertRaises(UnavailableError):
            self.ingest("mine")
        self.works()
        self.assertEqual(self.ingest("mine").manifest.run_id, "mine")
        self.assertEqual(self.api.asked, [2, 3])
        self.clock.now += 5 * 86_400
        self.assertFalse(self.ingest("mine").worked)
        self.assertEqual(self.ingest("mine", new=True).manifest.run_id, "mine-2")

    def test_begun_within_the_second_of_another_has_an_extract_of_its_own(self):
        one = self.ingest().manifest
        self.api.customers = 6
        other = self.ingest(new=True).manifest
        self.assertEqual((one.rows, other.rows), (5, 6))
        self.assertNotEqual(one.extract.key, other.extract.key)

    def test_that_cannot_be_continued_as_a_page_is_damaged_says_which(self):
        self.fail_on(2, 3)
        with self.assertRaises(UnavailableError):
            self.ingest()
        (page,) = (entry.key for entry in self.store.list("raw/"))
        self.works()
        for damage in (b"", b"not gzip", b"\x1f\x8b\x08\x00cut"):
            self.store.put(page, damage)
            with self.subTest(damage=damage), self.assertRaisesRegex(DataError, f"{page} is not a page of the API"):
                self.ingest()
        self.assertTrue(self.ingest(new=True).manifest.is_closed)

    def test_whose_rows_are_as_many_as_the_total_and_repeat_an_id_is_swept_again(self):
        def move(answer: dict[str, Any]) -> None:
            """A customer slips from page 1 to page 2 between the two requests, once; another one is never seen."""
            if answer["metadata"]["page"] == 2 and self.api.asked.count(2) == 1:
                answer["data"][0] = {"id": "C1"}

        self.api.change = move
        manifest = self.ingest().manifest
        self.assertEqual((manifest.status, manifest.rows, manifest.repeated, manifest.sweeps), ("completed", 5, 0, 2))

    def test_keeps_every_failed_try_with_a_word_for_its_reason(self):
        self.api.change = lambda answer: answer["metadata"].update(page=9) if answer["metadata"]["page"] == 2 else None
        self.fail_on(3, error=NotFoundError("no such page"))
        manifest = self.ingest(give_up_after=3).manifest
        found = read_attempts(CustomersAttempt, self.store, manifest.run_id)
        self.assertEqual(
            sorted((one.page, one.reason, one.attempt, one.final, one.temporary) for one in found),
            [(2, "wrong_page", 1, False, True), (2, "wrong_page", 2, True, True), (3, "refused", 1, True, False)],
        )
        self.assertEqual(manifest.dead_pages, {2: "wrong_page", 3: "refused"})
        self.assertEqual(manifest.status, "partial")
        self.assertEqual((manifest.files_planned, manifest.files_downloaded, manifest.files_failed), (3, 1, 2))

    def test_ends_at_once_if_the_token_is_refused(self):
        self.fail_on(2, error=AccessError("API_TOKEN is refused"))
        with self.assertRaises(AccessError):
            self.ingest()
        self.assertEqual(self.api.asked, [1, 2])

    def test_is_no_run_of_another_domain(self):
        self.ingest()
        self.assertEqual(list(all_runs(self.store)), [])
        self.assertEqual(newest(self.store, [CustomersPlan.domain]), "2026-11-29T14-15-00")

    def test_of_a_list_that_moves_all_the_time_is_refused_in_numbers(self):
        def grow(_answer):
            self.api.customers += 1

        self.api.change = grow
        manifest = self.ingest().manifest
        self.assertEqual((manifest.status, manifest.sweeps), ("partial", 2))
        self.assertIn("the total moved between 5 and ", manifest.note)

    def test_of_an_empty_list_has_an_empty_extract_if_the_api_says_so_twice(self):
        self.api.customers = 0
        manifest = self.ingest().manifest
        self.assertEqual((manifest.status, manifest.rows, manifest.total), ("completed", 0, 0))
        self.assertEqual(self.api.asked, [1, 1])

    def test_of_an_api_that_has_nothing_for_a_moment_fetches_what_it_has_then(self):
        def forget(answer: dict[str, Any]) -> None:
            if len(self.api.asked) == 1:
                answer.update(data=[], metadata={"page": 1, "per_page": 2, "total_pages": 0, "total": 0})

        self.api.change = forget
        manifest = self.ingest().manifest
        self.assertEqual((manifest.status, manifest.rows, manifest.sweeps), ("completed", 5, 2))

    def test_of_an_api_that_hands_out_one_page_for_ever_stops(self):
        self.api.change = lambda answer: answer.update(data=[{"id": "C1"}], metadata={})
        with self.assertRaisesRegex(UnavailableError, "stopped after 2 pages in a row failed, .* the rows of page 1"):
            self.ingest()

    def test_has_no_dead_letter_if_another_sweep_has_the_page(self):
        """Page 2 is short in the first sweep, and page 3 fails in the second one."""
        self.api.change = lambda answer: answer["data"].clear() if self.api.asked == [1, 2] else None
        self.api.failing = lambda page: UnavailableError("down") if page == 3 and len(self.api.asked) > 3 else None
        manifest = self.ingest().manifest
        self.assertEqual((manifest.status, manifest.rows, manifest.sweeps), ("completed", 5, 2))
        self.assertEqual((manifest.files_planned, manifest.files_downloaded, manifest.files_failed), (3, 3, 0))
        self.assertEqual(manifest.dead_pages, {})


class ARerun(RunCase):
    def test_fetches_the_dead_letters_and_nothing_else(self):
        self.fail_on(2)
        partial = self.ingest().manifest
        self.works()
        ended = self.rerun(partial.run_id)
        self.assertEqual((ended.manifest.status, ended.manifest.rows, self.api.asked), ("completed", 5, [2]))
        self.assertEqual(ended.manifest.selection.rerun_of, partial.run_id)
        self.assertEqual([one.split("/")[3] for one in ended.manifest.pages].count(f"run_id={partial.run_id}"), 2)
        self.assertFalse(self.rerun(partial.run_id).worked)

    def test_that_was_killed_is_continued(self):
        self.fail_on(2)
        partial = self.ingest().manifest
        self.fail_on(2, error=AccessError("API_TOKEN is refused"))
        with self.assertRaises(AccessError):
            self.rerun(partial.run_id)
        self.works()
        self.clock.now += 60
        self.assertTrue(self.rerun(partial.run_id).manifest.is_closed)
        self.assertEqual(self.api.asked, [2])

    def test_does_not_sweep_if_the_list_moved_meanwhile(self):
        self.fail_on(2)
        partial = self.ingest().manifest
        self.works()
        self.api.customers = 6
        manifest = self.rerun(partial.run_id).manifest
        self.assertEqual((manifest.status, manifest.dead_pages, self.api.asked), ("partial", {}, [2]))
        self.assertIn("the total moved between 5 and 6", manifest.note)

    def test_is_of_a_run_that_ended_and_of_this_api(self):
        with self.assertRaises(NotFoundError):
            self.rerun("r9")
        self.fail_on(2, 3)
        with self.assertRaises(UnavailableError):
            self.ingest("mine")
        with self.assertRaisesRegex(UsageError, "run mine is unfinished. ingest_customers continues it"):
            self.rerun("mine")
        self.api.url = "https://other.test/api"
        with self.assertRaisesRegex(UsageError, f"run mine is of {URL}, API_BASE_URL names https://other.test/api"):
            self.rerun("mine")

    def test_of_a_complete_run_does_nothing(self):
        complete = self.ingest().manifest
        self.works()
        self.assertFalse(self.rerun(complete.run_id).worked)
        self.assertEqual(self.api.asked, [])


class TheReport(RunCase):
    def test_names_what_failed_and_follows_from_the_manifest(self):
        self.fail_on(2)
        manifest = self.ingest().manifest
        report = (self.store.get(lake_layout.customers.report(manifest.run_id)) or b"").decode()
        for line in (
            "--- Execution Report ---", "Pages Requested: 3 (sweep 1)", "Successful Pages: 2", "Failed Pages: 1",
            "  page 2: unavailable", "Total Retries: 1", "Records Ingested: 3, 0 of them without an id",
            "Execution Time: 0m 1s", "Missing Fields (N/A): balance 3, ", "Null Fields: none", "Unknown Fields: none",
        ):  # fmt: skip
            self.assertIn(line, report)
