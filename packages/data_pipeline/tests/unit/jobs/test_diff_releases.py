"""The job as it is called, on a lake of two releases."""

import contextlib
import io
import json
import signal
import tempfile
from pathlib import Path
from typing import Any

from data_pipeline.cli import exit_code_of
from data_pipeline.open_payments.source.totals import TotalsChoice
from etl_core.lake.directory import DirectoryStore
from packages.data_pipeline.tests.unit.fakes import COMPANY, OTHER, WorldCase, a_selection, payments

OLDER, NEWER = "2025-06-30-00000001", "2026-01-23-00000002"
REPORT = f"metadata/diffs/dataset=general-payments/year=2024/{OLDER}_to_{NEWER}"


class DiffReleases(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.lake = Path(self.enterContext(tempfile.TemporaryDirectory())) / "lake"
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def fetch(self, day: str, companies: dict[str, int]) -> None:
        rows = [row for company_id, count in companies.items() for row in payments(company_id, count)]
        self.site.publish(2024, rows, modified=day)
        pipeline = self.world.pipeline
        prepared = pipeline.prepare(a_selection(), "", TotalsChoice(), trust_count=True)
        pipeline.commit(prepared.plan, pipeline.work(prepared))
        self.world.later(days=180)
        store = DirectoryStore(self.lake)
        for entry in self.store.list(""):
            store.put_new(entry.key, self.store.get(entry.key) or b"")
        store.close()

    def run_job(self, *words: str) -> tuple[int, dict[str, Any], str]:
        """Status, fact and stderr."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = exit_code_of(["run", "diff_releases", "--", "--year", "2024", *words, "--lake", str(self.lake)])
        (line,) = out.getvalue().splitlines() or ["{}"]
        return status, json.loads(line), err.getvalue()

    def test_compares_the_newest_two_and_ends_well_whatever_it_finds(self):
        self.fetch("2025-06-30", {COMPANY: 5, OTHER: 3})
        self.fetch("2026-01-23", {COMPANY: 4, OTHER: 3})

        status, fact, err = self.run_job()

        self.assertEqual((status, fact["job"], fact["status"]), (0, "diff_releases", "compared"))
        self.assertEqual((fact["from"], fact["to"], fact["report"]), (OLDER, NEWER, f"{REPORT}.csv"))
        self.assertEqual((fact["removed"], fact["unchanged"], fact["nothing_changed"]), (1, 7, False))
        # They say NEW, as if they had not been there before.
        self.assertEqual((fact["change_type_disagreements"], fact["change_type_unchecked"]), (4, 1))
        self.assertIn("Change_Type  4 records say something else; not checked in 1 companies", err)
        self.assertTrue((self.lake / fact["report"]).is_file())

    def test_does_what_its_options_say(self):
        self.fetch("2025-06-30", {COMPANY: 5, OTHER: 3})
        self.fetch("2026-01-23", {COMPANY: 4, OTHER: 3})
        self.fetch("2026-06-30", {COMPANY: 4, OTHER: 3})

        status, fact, err = self.run_job("--from", OLDER, "--to", NEWER, "--company-id", OTHER, "--json")

        self.assertEqual((status, err), (0, ""))
        self.assertEqual(fact["report"], f"{REPORT}_company_id={OTHER}.csv")
        self.assertEqual((fact["companies"], fact["change_type_unchecked"], fact["nothing_changed"]), (1, 1, True))
        _, fact, _ = self.run_job("--from", OLDER, "--to", NEWER, "--company-id", OTHER, "--check-change-type")
        self.assertEqual((fact["change_type_disagreements"], fact["change_type_unchecked"]), (3, 0))

    def test_of_a_lake_with_one_release_is_an_error_that_names_it(self):
        self.fetch("2025-06-30", {COMPANY: 5})

        status, fact, err = self.run_job()

        self.assertEqual((status, fact["status"], fact["error"]), (3, "failed", "NotFoundError"))
        self.assertIn(f"two releases of the year are needed, committed runs name {OLDER}.", err)
        self.assertEqual(self.run_job("--company-id", "x" * 101)[0], 2)
