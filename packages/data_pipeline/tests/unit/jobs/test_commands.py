"""Jobs as they are called, as far as they go without a source."""

from data_pipeline import lake_layout
from data_pipeline.open_payments.datasets import GENERAL
from data_pipeline.open_payments.ledger import commit, plans
from data_pipeline.open_payments.ledger.audits import Audits, write_attempt
from data_pipeline.open_payments.source.catalogue import Catalogue
from data_pipeline.wiring import Services
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    START,
    World,
    a_plan,
    a_release,
    a_slice,
    an_attempt,
)
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class CommittedCase(CommandCase):
    def committed(self) -> None:
        plans.write_plan(self.store, a_plan())
        part = a_slice().parts[0]
        self.store.put_new(part.key, b"x" * part.bytes)
        release = a_release()
        self.store.put_new(lake_layout.open_payments.schema(release.dataset, release.year, release.name), b"{}\n")
        audits = Audits(self.store, release)
        audits.publish_part(part)
        audits.close_slice(COMPANY, (part,), 3, START)
        commit.commit_run(self.store, a_plan(), known={}, source_rows=3, release_at_end=release, now=START)


class WriteManifest(CommittedCase):
    def test_leaves_a_committed_run_as_it_is(self):
        self.committed()
        files = sorted(self.lake.rglob("*"))

        status, fact, err = self.run_job("write_manifest", "--run-id", "r1")

        self.assertEqual((status, fact["job"], fact["run_id"]), (0, "write_manifest", "r1"))
        self.assertEqual((fact["status"], fact["proved"], fact["rows"]), ("completed", 1, 3))
        self.assertEqual((fact["year_closed"], fact["release"]), (True, "2026-06-30-9323b84e"))
        self.assertIn("run        r1  completed", err)
        self.assertEqual(sorted(self.lake.rglob("*")), files)

    def test_ends_as_the_run_did(self):
        for temporary, expected in [(False, 3), (True, 4)]:
            with self.subTest(temporary=temporary):
                self.setUp()
                plans.write_plan(self.store, a_plan())
                write_attempt(self.store, an_attempt(temporary=temporary))
                commit.commit_run(self.store, a_plan(), known={}, source_rows=3, release_at_end=a_release(), now=START)
                status, fact, _ = self.run_job("write_manifest", "--run-id", "r1")
                self.assertEqual((status, fact["status"], fact["failed"]), (expected, "failed", 1))

    def test_needs_a_run_that_was_planned(self):
        status, fact, err = self.run_job("write_manifest", "--run-id", "r1")

        self.assertEqual((status, fact["status"], fact["error"]), (3, "failed", "NotFoundError"))
        self.assertIn("has no run r1", err)

    def test_needs_a_name_that_is_one(self):
        for words in (["--run-id", "../x"], []):
            with self.subTest(words=words):
                status, fact, _ = self.run_job("write_manifest", *words)
                self.assertEqual((status, fact), (2, {}))


class UploadRaw(CommittedCase):
    def test_copies_a_committed_run_and_says_what_it_did(self):
        self.committed()
        part = self.lake / a_slice().parts[0].key
        other = self.folder / "other"

        status, fact, err = self.run_job("upload_raw", "--run-id", "r1", "--to", str(other), "--dry-run")
        self.assertEqual((status, fact["status"], fact["copied"], other.exists()), (0, "planned", 0, other.exists()))
        self.assertEqual(err.count("would copy"), 8)

        # The part is not what its audit says, so it is not copied, and the manifest is not either.
        status, fact, err = self.run_job("upload_raw", "--run-id", "r1", "--to", str(other))
        self.assertEqual((status, fact["error"]), (3, "ConflictError"))
        self.assertIn("its audit says", err)
        self.assertFalse((other / lake_layout.runs.manifest("r1")).exists())
        self.assertTrue(part.exists())

    def test_needs_both_names(self):
        for words in (["--run-id", "r1"], ["--to", "x"], []):
            with self.subTest(words=words):
                self.assertEqual(self.run_job("upload_raw", *words)[0], 2)


class ResolveIds(CommittedCase):
    def test_answers_from_a_fresh_cache(self):
        world = World()
        self.addCleanup(world.close)
        world.site.publish(2024)
        world.site.publish(2023)
        Catalogue(world.source, self.store, Services.now).resolve_all(GENERAL)

        for words, years in [([], ["2023", "2024"]), (["--year", "2024"], ["2024"]),
                             (["--year", "2024", "--year", "2023"], ["2023", "2024"])]:  # fmt: skip
            with self.subTest(words=words):
                status, fact, _ = self.run_job("resolve_ids", *words, "--run-id", "r7")
                self.assertEqual((status, fact["status"], list(fact["years"])), (0, "cached", years))
                self.assertEqual((fact["job"], fact["run_id"], fact["requests"]), ("resolve_ids", "r7", 0))


class Selections(CommittedCase):
    def test_are_refused_before_anything_is_asked(self):
        for words in (
            ["run_pipeline", "--year", "2024", "--company-id", "1", "--max-files", "2"],
            ["run_pipeline", "--year", "2024", "--company-id", "1", "--slice", "1/2"],
            ["run_pipeline", "--year", "2024", "--slice", "3/2"],
            ["run_pipeline", "--year", "2024", "--company-id", "x"],
            ["run_pipeline"],
            ["download_company", "--year", "2024"],
            ["download_company", "--year", "2024", "--company-id", "../1"],
            ["download_company", "--year", "2024", "--company-id", "1", "--run-id", "a/b"],
            ["build_totals"],
            ["resolve_ids", "--year", "soon"],
        ):
            with self.subTest(words=words):
                status, fact, _ = self.run_job(*words)
                self.assertEqual((status, fact, self.lake.exists()), (2, {}, False))
