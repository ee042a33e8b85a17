import unittest
from datetime import timedelta
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger.audits import Audits
from data_pipeline.open_payments.ledger.committed import proved_releases, proved_slices
from data_pipeline.runs import commit, pointers
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import COMPANY, OTHER, START, a_manifest, a_release, a_result, an_audit

DAYS = ("2025-06-30", "2026-01-23", "2026-06-30")


class LakeCase(unittest.TestCase):
    def setUp(self) -> None:
        self.store = MemoryStore()

    def commit(self, run_id: str, *results: Any, minute: int = 0, manifest: bool = True, **changes: Any) -> None:
        lines = b"".join(an_audit(one.company_id, records=one.rows).to_bytes() for one in results if one.rows)
        fields = {"status": changes.pop("status", "completed")}
        release = a_release(**changes)
        made = a_manifest(
            *results or [a_result(rows=3)],
            run_id=run_id,
            year=release.year,
            release=release,
            created_at=START + timedelta(minutes=minute),
            finished_at=START + timedelta(minutes=minute + 1),
            closure=a_manifest().closure.model_copy(update={"closed": fields["status"] == "completed"}),
            **fields,
            file_audits_sha256=commit.digest_of(lines),
        )
        self.store.put_new(lake_layout.open_payments.schema(release.dataset, release.year, release.name), b"{}")
        pointers.write(self.store, pointers.of_manifest(made))
        self.store.put_new(lake_layout.runs.file_audits(run_id), lines)
        if manifest:
            self.store.put_new(lake_layout.runs.manifest(run_id), made.to_bytes())


class ProvedReleases(LakeCase):
    def names(self) -> list[str]:
        return [one.name for one in proved_releases(self.store, "general-payments", 2024)]

    def test_proved_releases_are_in_the_order_of_publication_and_within_a_day_in_that_of_their_plans(
        self,
    ):
        self.commit("a", modified="2026-06-30", distribution_id="b" * 8, minute=7)
        self.commit("b", modified="2026-06-30", distribution_id="c" * 8, minute=5)
        self.commit("c", modified="2025-06-30", distribution_id="d" * 8, minute=9)
        self.assertEqual(self.names(), ["2025-06-30-dddddddd", "2026-06-30-cccccccc", "2026-06-30-bbbbbbbb"])

    def test_proved_releases_are_those_of_the_year_that_a_committed_run_proved_something_of(self):
        self.commit("open", modified=DAYS[0], manifest=False)
        self.commit("other", modified=DAYS[1], year=2023)
        self.commit("failed", a_result(verdict="failed"), a_result(OTHER, "missing"), modified=DAYS[1])
        self.commit("good", modified=DAYS[2])
        self.assertEqual(self.names(), ["2026-06-30-9323b84e"])


class ProvedSlices(LakeCase):
    def rows(self) -> dict[str, int]:
        return {one: found.rows for one, found in proved_slices(self.store, a_release()).items()}

    def test_proved_slices_are_those_of_any_run_of_the_release_each_as_the_newest_run_proved_it(self):
        self.commit("a", a_result(rows=3), a_result(OTHER, rows=1), status="partial")
        self.commit("b", a_result(OTHER, rows=2), a_result("7", "missing"), minute=1, status="partial")

        self.assertEqual(self.rows(), {COMPANY: 3, OTHER: 2})

    def test_proved_slices_are_not_looked_for_behind_a_closed_run(self):
        self.commit("a", a_result(rows=3), status="partial")
        self.commit("b", a_result(OTHER, rows=2), minute=1)
        self.store.put(lake_layout.runs.manifest("a"), b"not to be read")

        self.assertEqual(self.rows(), {OTHER: 2})

    def test_proved_slices_are_not_looked_for_behind_the_proof_of_the_last_closed_slice(self):
        """A release that is never closed may have thousands of runs."""
        for one in (COMPANY, OTHER):
            part = an_audit(one)
            Audits(self.store, a_release()).close_slice(one, (part,), part.records, START)
        self.commit("a", a_result(rows=1), status="partial")
        self.commit("b", a_result(OTHER, rows=2), minute=1, status="partial")
        self.commit("c", a_result(rows=3), minute=2, status="partial")
        self.store.put(lake_layout.runs.manifest("a"), b"not to be read")

        self.assertEqual(self.rows(), {COMPANY: 3, OTHER: 2})

    def test_proved_slices_are_not_looked_for_in_runs_of_other_releases(self):
        self.commit("a", a_result(rows=3), modified=DAYS[0], distribution_id="b" * 8)

        self.assertEqual(self.rows(), {})
