import hashlib
import json
from typing import Any

from data_pipeline.open_payments.ledger.summaries import KeptSummary, SummaryAudit, stored_summaries
from data_pipeline.open_payments.source.summaries import Summaries
from data_pipeline.open_payments.summaries import REPORTING_ENTITIES, SUMMARIES, TEACHING_HOSPITALS
from etl_core.documents import read
from etl_core.errors import StoppedError
from etl_core.lake import Body, PutResult
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    OTHER,
    Published,
    WorldCase,
    blocks,
    dies,
    edits,
    nobody_answers,
    replaces,
    says,
    sends,
)

ODD_NAME = 'Maker "A",\nand a half'


class DiesBeforeTheProof(MemoryStore):
    """A lake whose writer is killed before its first proof."""

    dies = True

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        if key.startswith("metadata/audits/") and self.dies:
            self.dies = False
            raise KeyboardInterrupt
        return super().put_new(key, body, sha256=sha256)


class SummariesCase(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.publish()
        self.hospitals = self.site.publish_summary(TEACHING_HOSPITALS, [{"Teaching_Hospital_CCN": "050017"}])

    def publish(self) -> Published:
        rows = [
            {"AMGPO_Making_Payment_ID": COMPANY, "AMGPO_Making_Payment_Name": ODD_NAME, "Trans_General": "3"},
            {"AMGPO_Making_Payment_ID": OTHER, "Total_Amount_General": "1.10"},
            {"AMGPO_Making_Payment_ID": OTHER, "Program_Year": "2023"},
        ]
        self.entities = self.site.publish_summary(REPORTING_ENTITIES, rows)
        return self.entities

    def keep(self, *, only_missing: bool = False, store: MemoryStore | None = None) -> tuple[KeptSummary, ...]:
        world = self.world
        summaries = Summaries(world.source, store or self.store, world.retry, world.now)
        return summaries.keep(2024, only_missing=only_missing)

    def statuses(self, **how: Any) -> list[str]:
        return [one.status for one in self.keep(**how)]

    def proof(self) -> SummaryAudit:
        return stored_summaries(self.store, REPORTING_ENTITIES, 2024)[-1]


class Kept(SummariesCase):
    def test_the_rows_of_the_year_are_stored_as_they_came_and_their_proof_after_them(self):
        kept = self.keep()

        self.assertEqual([(one.status, one.rows) for one in kept], [("stored", 2), ("stored", 1)])
        proof = self.proof()
        body = self.store.get(proof.key) or b""
        self.assertTrue(body.startswith(b"AMGPO_Making_Payment_ID,AMGPO_Making_Payment_Name,Total_Amount_General,"))
        self.assertEqual((body.count(b",2024\n"), body.count(b",2023\n")), (2, 0))
        self.assertEqual((proof.sha256, proof.bytes), (hashlib.sha256(body).hexdigest(), len(body)))
        self.assertEqual((proof.records, proof.count_before, proof.count_after, proof.requests), (2, 2, 2, 3))
        self.assertEqual((proof.modified, proof.condition), ("2026-06-30", "program_year = 2024"))
        where = f"summary=reporting-entities/year=2024/release={self.entities.distribution_id}"
        folder = f"{where}/content={proof.sha256[:8]}"
        self.assertEqual(self.store.writes[:2], [f"raw/{folder}/rows.csv", f"metadata/audits/{folder}/rows.json"])
        self.assertEqual(read(SummaryAudit, self.store, self.store.writes[1]), proof)
        self.assertEqual(proof.release, f"2026-06-30-{self.entities.distribution_id[:8]}")

    def test_what_is_stored_is_not_fetched_again_and_a_new_publication_is_stored_beside_it(self):
        self.keep()
        asked = len(self.site.of_kind("download"))

        self.assertEqual(self.statuses(), ["already stored", "already stored"])
        self.assertEqual(len(self.site.of_kind("download")), asked)
        first = self.proof()
        self.world.later(days=200)
        self.publish()
        self.assertEqual(self.statuses(), ["stored", "already stored"])
        self.assertEqual(len(stored_summaries(self.store, REPORTING_ENTITIES, 2024)), 2)
        self.assertEqual(self.proof().distribution_id, self.entities.distribution_id)
        self.assertIsNotNone(self.store.get(first.key))

    def test_for_a_run_that_is_done_only_what_is_missing_is_asked_for(self):
        self.site.fault("download", says(404), when=lambda asked: self.hospitals.distribution_id in asked.path)
        self.assertEqual(self.statuses(), ["stored", "not stored"])
        before = len(self.site.asked)

        (kept,) = self.keep(only_missing=True)
        self.assertEqual((kept.summary, kept.status), ("teaching-hospitals", "stored"))
        self.assertEqual(len(self.site.asked) - before, 5)
        before = len(self.site.asked)
        self.assertEqual(self.keep(only_missing=True), ())
        self.assertEqual(len(self.site.asked), before)

    def test_a_process_that_dies_before_the_proof_leaves_rows_that_the_next_one_takes_up(self):
        store = DiesBeforeTheProof()
        with self.assertRaises(KeyboardInterrupt):
            self.keep(store=store)
        (loose,) = store.writes
        self.entities.rows.reverse()  # the source keeps no order of its own

        self.assertEqual(self.statuses(store=store), ["stored", "stored"])
        (proof,) = stored_summaries(store, REPORTING_ENTITIES, 2024)
        self.assertEqual(proof.key, loose)
        self.assertEqual(hashlib.sha256(store.get(loose) or b"").hexdigest(), proof.sha256)

    def test_other_bytes_after_such_a_death_lie_beside_those_of_then(self):
        store = DiesBeforeTheProof()
        with self.assertRaises(KeyboardInterrupt):
            self.keep(store=store)
        (loose,) = store.writes
        self.entities.rows[0] = (COMPANY, "Another name", *self.entities.rows[0][2:])

        self.assertEqual(self.statuses(store=store), ["stored", "stored"])
        self.assertNotEqual(stored_summaries(store, REPORTING_ENTITIES, 2024)[0].key, loose)
        self.assertIsNotNone(store.get(loose))

    def test_columns_may_come_under_their_machine_names(self):
        self.entities.titles = tuple(map(str.lower, self.entities.titles))

        self.assertEqual(self.statuses(), ["stored", "stored"])

    def test_an_answer_that_was_cut_once_is_asked_for_again(self):
        self.site.fault("download", dies)

        self.assertEqual(self.statuses(), ["stored", "stored"])
        self.assertTrue(self.site.of_kind("download")[1].bypass_cache)


class NotKept(SummariesCase):
    def test_nothing_that_is_wrong_with_a_summary_raises_and_nothing_of_it_is_stored(self):
        titled = REPORTING_ENTITIES.title.encode()
        year = b",2024\n"
        cases: list[tuple[str, Any, str]] = [
            ("catalogue", says(500), "500"),
            ("catalogue", nobody_answers, "connection"),
            ("catalogue", blocks, ""),
            ("catalogue", sends([]), "lists nothing as 'Payments grouped by"),
            ("catalogue", edits(lambda body: body.replace(titled, b"Another summary")), "lists nothing as"),
            ("table", says(404), "404"),
            ("table", replaces("Trans_General", "Payments_General"), "no column Trans_General"),
            ("table", replaces(self.entities.distribution_id, "../../x"), "no distribution id"),
            ("count", sends({"count": 0}), "no rows of 2024"),
            ("count", sends({"count": 7}), "the source counts 7"),
            ("download", says(404), "404"),
            ("download", says(500), "500"),
            ("download", dies, ""),
            ("download", sends(b""), "no header"),
            ("download", sends(b'"' + b"x" * 200_000 + b"\n"), "cannot be read"),
            ("download", edits(lambda body: body[:-3]), "cannot be read"),
            ("download", replaces(year, b",2023\n"), "other years"),
            ("download", edits(lambda body: body + body.partition(b"\n")[2]), "the source counts 2"),
            ("download", replaces("Trans_General", "Payments_General", 1), "no column Trans_General"),
        ]
        for kind, change, problem in cases:
            with self.subTest(kind=kind, problem=problem):
                self.setUp()
                self.site.fault(kind, change, NEVER)

                kept = self.keep()[0]

                self.assertEqual(kept.status, "not stored")
                self.assertIn(problem, kept.problem)
                stored = [key for key in self.store.writes if "reporting-entities" in key]
                self.assertEqual(stored, [])

    def test_a_count_that_moves_while_the_rows_are_fetched_is_no_proof(self):
        counts = iter([2, 3] * 9)
        self.site.fault("count", edits(lambda _: json.dumps({"count": next(counts)}).encode()), NEVER)

        self.assertIn("a moment later 3", self.keep()[0].problem)

    def test_a_stop_is_obeyed(self):
        self.world.stop.request()
        with self.assertRaises(StoppedError):
            self.keep()

    def test_one_that_fails_does_not_hold_up_the_other(self):
        self.site.fault("table", says(500), NEVER, when=lambda asked: self.entities.dataset_id in asked.path)

        self.assertEqual(self.statuses(), ["not stored", "stored"])


class Named(WorldCase):
    def test_every_summary_has_columns_of_its_own_and_a_name_for_keys(self):
        for one in SUMMARIES:
            self.assertRegex(one.name, "^[a-z-]+$")
            self.assertEqual(len(set(one.names)), len(one.columns))
