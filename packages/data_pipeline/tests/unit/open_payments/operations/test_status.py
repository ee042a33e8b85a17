from datetime import timedelta
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import commit, plans
from data_pipeline.open_payments.ledger.audits import Audits, keys_of
from data_pipeline.open_payments.operations.status import progress_of_run, table_of
from data_pipeline.runs.attempts import write_attempt
from data_pipeline.runs.listing import newest
from data_pipeline.runs.plans import write_plan
from etl_core.errors import NotFoundError
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    OTHER,
    START,
    WorldCase,
    a_plan,
    a_release,
    a_slice,
    an_attempt,
)

THIRD, EMPTY = "100000000077", "100000000099"


class CountingStore(MemoryStore):
    """Notes what is read."""

    def __init__(self, now: Any) -> None:
        super().__init__(now)
        self.read_keys: list[str] = []

    def get(self, key: str) -> bytes | None:
        self.read_keys.append(key)
        return super().get(key)


class StatusCase(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.lake = self.world.store = CountingStore(self.world.now)
        self.plan(run_id="r1")

    def plan(self, **choice: Any) -> None:
        companies = choice.pop("companies", {COMPANY: 3, OTHER: 5, THIRD: 7, EMPTY: 0})
        write_plan(self.store, a_plan(companies, **choice))

    def close(self, company_id: str = COMPANY, records: int = 3, parts: int = 1, body: bytes = b"x" * 300) -> None:
        audits = a_slice(company_id, parts=parts, records=records).parts
        for audit in audits:
            self.store.put_new(audit.key, body)
            Audits(self.store, a_release()).publish_part(audit)
        Audits(self.store, a_release()).close_slice(company_id, audits, records * parts, START)

    def status(self, run_id: str = "r1") -> dict[str, Any]:
        return progress_of_run(self.store, run_id, self.world.now())

    def has(self, **expected: Any) -> None:
        status = self.status()
        self.assertEqual({name: status[name] for name in expected}, expected)


class ARunUnderWay(StatusCase):
    def test_a_run_under_way_begins_with_everything_open(self):
        self.assertEqual(
            self.status(),
            {
                "status": "open", "committed": False, "release": "2026-06-30-9323b84e", "planned": 4, "proved": 0,
                "empty": 0, "failed": 0, "failed_by_reason": {}, "open": 4, "rows": 0, "rows_planned": 15, "bytes": 0,
                "bytes_expected": 15 * 572, "newest_audit_age_seconds": None,
            },
        )  # fmt: skip

    def test_a_run_under_way_counts_what_is_closed_and_what_failed_at_last(self):
        self.close()
        self.close(EMPTY, 0)
        write_attempt(self.store, an_attempt(OTHER, final=False, reason="truncated"))
        write_attempt(self.store, an_attempt(OTHER, reason="width", at=START + timedelta(1)))

        self.has(proved=1, empty=1, failed=1, failed_by_reason={"width": 1}, open=1, rows=3, bytes=600)

    def test_a_run_under_way_forgets_failures_of_what_was_proved_since(self):
        write_attempt(self.store, an_attempt(COMPANY))
        self.close()

        self.has(proved=1, failed=0)

    def test_a_run_under_way_counts_no_bytes_of_slices_that_are_not_closed_or_not_its_own(self):
        self.close()
        self.store.put_new(keys_of(a_release(), OTHER).part(1, 2), b"x" * 77)
        self.close("555")

        self.has(proved=1, bytes=300, rows=3)

    def test_a_run_under_way_says_how_old_the_newest_proof_is(self):
        self.close()
        self.world.later(minutes=5)
        self.store.put_new(keys_of(a_release(), OTHER).part_audit(1, 2), b"{}")
        self.world.later(seconds=90)
        self.close("555")

        self.has(newest_audit_age_seconds=90.0)

    def test_a_run_under_way_reads_each_proof_of_a_slice_once(self):
        companies = (COMPANY, OTHER, THIRD)
        for company_id in companies:
            self.close(company_id)
            write_attempt(self.store, an_attempt(company_id))
        self.lake.read_keys.clear()

        self.has(proved=3, rows=9)
        proofs = [keys_of(a_release(), company_id).slice_audit() for company_id in companies]
        run = [lake_layout.runs.plan("r1"), lake_layout.runs.manifest("r1")]
        self.assertEqual(sorted(self.lake.read_keys), sorted(run + proofs))

    def test_a_run_under_way_takes_no_garbage_for_the_proof_of_a_slice(self):
        self.close(COMPANY)
        write_attempt(self.store, an_attempt(OTHER, reason="width"))
        for company_id, garbage in {OTHER: b"<html>", THIRD: a_slice(COMPANY).to_bytes(), EMPTY: b""}.items():
            self.store.put_new(keys_of(a_release(), company_id).slice_audit(), garbage)

        self.has(proved=1, failed=1, open=2, empty=0, rows=3, bytes=300)

    def test_a_run_under_way_reads_the_proofs_where_the_plan_did_not_count_this_release(self):
        choices: dict[str, dict[str, Any]] = {
            "r2": {"counts_from": "entities"},
            "r3": {"companies": {COMPANY: None}},
        }
        for run_id, choice in choices.items():
            with self.subTest(choice=choice):
                self.plan(run_id=run_id, **choice)
                self.close(records=2)
                status = self.status(run_id)
                self.assertEqual((status["proved"], status["rows"]), (1, 2))

    def test_a_run_under_way_counts_a_slice_that_was_proved_again_once_and_as_it_is_now(self):
        self.close()
        (grown,) = a_slice(COMPANY, records=4, bytes=400, generation=2).parts
        self.store.put_new(keys_of(a_release(), COMPANY).part(1, 1, 2), b"x" * 400)
        Audits(self.store, a_release()).close_slice(COMPANY, (grown,), 4, START)

        self.has(proved=1, rows=4, bytes=400)

    def test_a_run_under_way_must_be_planned(self):
        with self.assertRaises(NotFoundError):
            self.status("r9")


class ACommittedRun(StatusCase):
    def test_a_committed_run_is_as_its_manifest_says_whatever_was_proved_since(self):
        self.close()
        write_attempt(self.store, an_attempt(OTHER, reason="width"))
        plan = plans.require_plan(self.store, "r1")
        commit.commit_run(self.store, plan, known={}, source_rows=15, release_at_end=a_release(), now=START)
        self.close(THIRD, 7)

        reasons = {"not_tried": 2, "width": 1}
        self.has(
            status="partial", committed=True, proved=1, failed=3, failed_by_reason=reasons, open=0, rows=3, bytes=300
        )


class TheNewestRun(StatusCase):
    def test_the_newest_run_is_the_one_planned_last_whatever_its_name(self):
        self.world.later(hours=1)
        self.plan(run_id="a-name", created_at=self.world.now())
        self.world.later(hours=1)
        write_attempt(self.store, an_attempt(run_id="r1"))

        self.assertEqual(newest(self.store, [""]), "a-name")

    def test_the_newest_run_is_none_in_an_empty_lake(self):
        with self.assertRaisesRegex(NotFoundError, "has no run yet"):
            newest(MemoryStore(), [""])


class TheTable(StatusCase):
    def test_the_table_says_it_in_a_dozen_lines(self):
        self.close()
        write_attempt(self.store, an_attempt(OTHER, reason="width"))
        self.world.later(seconds=90)

        self.assertEqual(
            table_of("r1", self.status(), "memory://").splitlines(),
            [
                "run        r1  open, not committed",
                "release    2026-06-30-9323b84e",
                "slices     1 proved, 0 empty, 1 failed, 2 open, of 4",
                "rows       3 of 15",
                "bytes      300 of about 8,580",
                "last proof 90 s ago",
                "lake       memory://",
                "failed     1 width",
            ],
        )
