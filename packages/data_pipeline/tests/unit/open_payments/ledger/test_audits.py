from datetime import timedelta

from structlog.testing import capture_logs

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger.audits import Audits, keys_of, read_attempts
from data_pipeline.open_payments.windows import Window
from data_pipeline.runs.attempts import write_attempt
from etl_core.errors import ConflictError, DataError
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    OTHER,
    START,
    WorldCase,
    a_release,
    a_slice,
    an_attempt,
    an_audit,
)

KEYS = keys_of(a_release(), COMPANY)


class AuditsCase(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.audits = Audits(self.store, a_release())


class Parts(AuditsCase):
    def test_parts_are_published_once_and_read_back(self):
        audit = an_audit(number=2, of=3)

        self.assertEqual(self.audits.publish_part(audit), audit)
        self.assertEqual(self.store.writes, [KEYS.part_audit(2, 3)])
        self.assertEqual(self.audits.part_audit(COMPANY, 2, 3), audit)
        self.assertIsNone(self.audits.part_audit(COMPANY, 1, 3))

    def test_parts_proved_by_another_with_the_same_content_stay_theirs(self):
        theirs = an_audit(sha256="1" * 64, seconds=99.0)
        self.audits.publish_part(theirs)

        self.assertEqual(self.audits.publish_part(an_audit(sha256="2" * 64)), theirs)
        self.assertEqual(self.audits.part_audit(COMPANY, 1, 1), theirs)

    def test_parts_proved_by_another_with_other_content_are_a_conflict(self):
        self.audits.publish_part(an_audit(content_hash="1" * 64))

        with self.assertRaises(ConflictError) as caught:
            self.audits.publish_part(an_audit(content_hash="2" * 64))

        for word in (KEYS.part_audit(1, 1), "1" * 64, "2" * 64):
            self.assertIn(word, str(caught.exception))

    def test_parts_that_cannot_be_read_are_data_errors(self):
        key = KEYS.part_audit(1, 1)
        for garbage in (b"", b"{}", b"\xff", a_slice().to_bytes()):
            with self.subTest(garbage=garbage[:9]):
                self.store.put(key, garbage)
                with self.assertRaisesRegex(DataError, f"{key} is no Audit of schema version 1"):
                    self.audits.part_audit(COMPANY, 1, 1)
                with self.assertRaises(DataError):
                    self.audits.publish_part(an_audit())

    def test_a_stored_proof_of_other_bounds_does_not_prove_the_window(self):
        stored, asked = Window(1, 2, "", "07/02"), Window(1, 2, "", "04/02")
        self.audits.publish_part(an_audit(window=stored, of=2))

        self.assertEqual([one.window for one in self.audits.window_proofs(COMPANY, stored).audits], [stored])
        self.assertEqual(self.audits.window_proofs(COMPANY, asked), ([], [2]))

    def test_the_newest_proof_of_a_unit_counts(self):
        """Another pod proved the window again, after the source's count had moved."""
        for generation, records in ((1, 3), (2, 5)):
            self.audits.publish_part(an_audit(generation=generation, records=records))

        proof = self.audits.proof_of_unit(COMPANY, 1, 1)

        self.assertEqual(proof and (proof.generation, proof.records), (2, 5))
        self.assertIsNone(self.audits.proof_of_unit(OTHER, 1, 1))


class Slices(AuditsCase):
    def test_slices_are_closed_by_one_document(self):
        parts = (
            an_audit(number=1, of=2, records=3, bytes=300, count_before=4, content_hash="f" * 64),
            an_audit(number=2, of=2, records=5, bytes=500, count_before=5, content_hash=f"{2:064x}"),
        )

        closed = self.audits.close_slice(COMPANY, parts, 9, START, (3, 6))

        self.assertEqual(
            closed.model_dump(exclude={"parts", "release"}),
            {
                "schema_version": 1,
                "company_id": COMPANY,
                "generation": 1,
                "verdict": "proved",
                "records": 8,
                "bytes": 800,
                "content_hash": f"{1:064x}",  # the sum modulo 2**256
                "count_before": 9,
                "count_after": 9,
                "counts_after": (3, 6),
                "proved_at": START,
            },
        )
        self.assertEqual((closed.parts, closed.release), (parts, a_release()))
        self.assertEqual(self.store.writes, [KEYS.slice_audit()])
        self.assertEqual(self.audits.slice_audit(COMPANY), closed)
        self.assertIsNone(self.audits.slice_audit(OTHER))

    def test_slices_without_records_are_empty(self):
        self.assertEqual(self.audits.close_slice(COMPANY, (an_audit(records=0),), 0, START).verdict, "empty")

    def test_slices_closed_by_another_with_the_same_content_stay_theirs(self):
        theirs = self.audits.close_slice(COMPANY, (an_audit(),), 3, START)

        ours = self.audits.close_slice(COMPANY, (an_audit(sha256="2" * 64),), 3, START + timedelta(days=1))

        self.assertEqual(ours, theirs)

    def test_slices_closed_at_another_count_are_closed_again_beside_it(self):
        """The table grew under its release; and however two writers race, the source's count decides."""
        first = self.audits.close_slice(COMPANY, (an_audit(),), 3, START)
        grown = an_audit(records=4, content_hash="2" * 64, generation=2)

        second = self.audits.close_slice(COMPANY, (grown,), 4, START)
        again = self.audits.close_slice(COMPANY, (grown,), 4, START + timedelta(days=1))
        third = self.audits.close_slice(COMPANY, (an_audit(),), 3, START)

        self.assertEqual([one.generation for one in (first, second, third)], [1, 2, 3])
        self.assertEqual((again, third.parts), (second, first.parts))
        self.assertEqual(self.store.writes, [KEYS.slice_audit(number) for number in (1, 2, 3)])
        self.assertEqual([self.audits.slice_audit(COMPANY, number) for number in (1, 2, 3, 4)],
                         [first, second, third, None])  # fmt: skip
        self.assertEqual(self.audits.closed(), {COMPANY: 3})
        self.assertEqual(set(self.audits.closed()), {COMPANY})

    def test_slices_closed_by_another_with_other_content_are_a_conflict(self):
        self.audits.close_slice(COMPANY, (an_audit(content_hash="1" * 64),), 3, START)

        with self.assertRaises(ConflictError) as caught:
            self.audits.close_slice(COMPANY, (an_audit(content_hash="2" * 64),), 3, START)
        self.assertIn(KEYS.slice_audit(), str(caught.exception))

    def test_slices_that_cannot_be_read_are_data_errors_and_the_next_proof_stands_beside_them(self):
        self.store.put(KEYS.slice_audit(), an_audit().to_bytes())

        with self.assertRaisesRegex(DataError, "is no SliceAudit of schema version 1"):
            self.audits.slice_audit(COMPANY)
        proved = self.audits.close_slice(COMPANY, (an_audit(),), 3, START)

        self.assertEqual(proved.generation, 2)
        self.assertEqual(self.audits.newest_slices(self.audits.closed()), {COMPANY: proved})

    def test_slices_keep_their_proof_under_garbage_of_later_generations(self):
        proved = self.audits.close_slice(COMPANY, (an_audit(),), 3, START)
        other = a_slice(OTHER).to_bytes()
        for garbage in (b"", b"{", b"\xff", b"[" * 100_000, other):
            with self.subTest(garbage=garbage[:9]):
                self.store.put(KEYS.slice_audit(2), garbage)

                self.assertEqual(self.audits.newest_slices(self.audits.closed()), {COMPANY: proved})
                self.assertEqual(self.audits.close_slice(COMPANY, (an_audit(),), 3, START), proved)

    def test_parts_keep_their_proof_under_garbage_of_later_generations(self):
        proved = self.audits.publish_part(an_audit())
        self.store.put(KEYS.part_audit(1, 1, 2), b"[" * 100_000)

        self.assertEqual(self.audits.window_proofs(COMPANY, an_audit().window), ([proved], [3]))

    def test_parts_without_a_proof_do_not_hide_the_proofs_of_later_generations(self):
        self.store.put_new(KEYS.part(1, 1), b"")
        proved = self.audits.publish_part(an_audit(generation=2))

        self.assertEqual(self.audits.window_proofs(COMPANY, an_audit().window), ([proved], [1, 3]))
        self.assertEqual(self.audits.proof_of_unit(COMPANY, 1, 1), proved)

    def test_slices_are_not_closed_by_an_empty_object_which_is_named_once(self):
        self.store.put_new(KEYS.slice_audit(), b"")

        with capture_logs() as logged:
            self.assertEqual([self.audits.closed(), self.audits.closed()], [{}, {}])

        self.assertEqual([one["key"] for one in logged], [KEYS.slice_audit()])
        part = self.audits.publish_part(an_audit())
        self.assertEqual(self.audits.close_slice(COMPANY, (part,), 3, START).generation, 2)
        self.assertEqual(self.audits.closed(), {COMPANY: 2})

    def test_slices_that_are_proved_are_found_by_listing_the_release(self):
        """S2.3: what is done is what has an audit in the lake."""
        other_release = Audits(self.store, a_release(modified="2026-01-23"))
        other_release.close_slice("77", (an_audit("77"),), 3, START)
        self.audits.publish_part(an_audit(OTHER))
        for company_id in (COMPANY, "9"):
            self.audits.close_slice(company_id, (an_audit(company_id),), 3, START)

        self.assertEqual(set(self.audits.closed()), {COMPANY, "9"})
        self.assertEqual(set(other_release.closed()), {"77"})


class Attempts(AuditsCase):
    def test_attempts_are_each_kept_and_read_in_the_order_of_their_time(self):
        for minutes in (3, 1, 2):
            write_attempt(self.store, an_attempt(attempt=minutes, at=START + timedelta(minutes=minutes)))
        write_attempt(self.store, an_attempt(run_id="r10"))

        self.assertEqual([attempt.attempt for attempt in read_attempts(self.store, "r1")], [1, 2, 3])
        self.assertEqual(len(set(self.store.writes)), 4)
        for key in self.store.writes[:3]:
            prefix = f"{lake_layout.runs.failures('r1')}company_id={COMPANY}/"
            self.assertRegex(key.removeprefix(prefix), r"\Aattempt-[0-9a-f]{32}\.json\Z")

    def test_attempts_of_some_companies_need_not_be_read(self):
        """Those of a slice that was proved after all say nothing any more."""
        write_attempt(self.store, an_attempt(COMPANY))
        write_attempt(self.store, an_attempt(OTHER))

        self.assertEqual([one.company_id for one in read_attempts(self.store, "r1", leave_out={OTHER})], [COMPANY])

    def test_attempts_of_one_company_are_read_without_the_others(self):
        write_attempt(self.store, an_attempt(COMPANY))
        self.store.put(
            f"{lake_layout.runs.failures('r1', lake_layout.open_payments.company(COMPANY + '0'))}attempt-0.json",
            b"not to be read",
        )

        (attempt,) = read_attempts(self.store, "r1", company_id=COMPANY)
        self.assertEqual(attempt.company_id, COMPANY)

    def test_attempts_that_cannot_be_read_are_skipped(self):
        write_attempt(self.store, an_attempt())
        for number, garbage in enumerate((b"{}", b"", an_attempt(run_id="r2").to_bytes())):
            self.store.put(f"{lake_layout.runs.failures('r1')}company_id=1/attempt-{number}.json", garbage)

        self.assertEqual(read_attempts(self.store, "r1"), [an_attempt()])
