import contextlib
import io
import json
import sys

from data_pipeline import cli
from packages.data_pipeline.tests.unit.agency_files.agency import make_database
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class GetS3Files(CommandCase):
    """Between two folders, with the default database."""

    def setUp(self) -> None:
        super().setUp()
        documents = self.folder / "documents"
        (documents / "docs").mkdir(parents=True)
        for name in ("a.pdf", "b.pdf"):
            (documents / "docs" / name).write_text(f"of {name}")
        self.words = ("--agency-id", "10", "--source-bucket", str(documents))
        self.database = self.folder / "data" / "agency_files.db"

    def list(self, *keys: str) -> None:
        self.database.unlink(missing_ok=True)
        make_database(self.database, [(10, number, key, None, None) for number, key in enumerate(keys, 1)])

    def test_copies_and_reports_and_does_nothing_the_second_time(self):
        self.list("docs/a.pdf", "docs/b.pdf")
        status, fact, err = self.run_job("get_s3_files", *self.words)

        self.assertEqual((status, fact["status"], fact["processed"], fact["successful"]), (0, "completed", 2, 2))
        self.assertIn("files processed 2, successful 2, failed 0", err)
        copy = "raw/agency_files/agency_id=10/files/docs/a.pdf"
        self.assertEqual(self.store.get(copy), b"of a.pdf")
        self.assertIsNotNone(self.store.head(fact["metadata"]))

        before = self.files()
        status, fact, _ = self.run_job("get_s3_files", *self.words)
        self.assertEqual(
            (status, fact["status"], fact["files"], fact["bytes"]), (0, "already done", {"already there": 2}, 0)
        )
        self.assertEqual(self.files(), before)

    def test_ends_with_3_where_a_file_stays_open_and_retries_it(self):
        self.list("docs/a.pdf", "docs/later.pdf", "../\x1b[2J")
        status, fact, err = self.run_job("get_s3_files", *self.words)
        self.assertEqual((status, fact["status"], fact["failed"]), (3, "partial", 2))
        self.assertIn("missing: file 2, 'docs/later.pdf': the source has no such object", err)
        self.assertIn(r"refused name: file 3, '../\x1b[2J'", err)

        (self.folder / "documents" / "docs" / "later.pdf").write_text("later")
        status, fact, _ = self.run_job("get_s3_files", *self.words, "--retry-failed")
        self.assertEqual((status, fact["files"]), (3, {"copied": 1, "refused name": 1}))

    def test_in_a_dry_run_writes_nothing(self):
        self.list("docs/a.pdf", "docs/missing.pdf")
        status, fact, err = self.run_job("get_s3_files", *self.words, "--dry-run")
        self.assertEqual((status, fact["status"], fact["files"]), (3, "planned", {"missing": 1, "to copy": 1}))
        self.assertIn("to copy", err)
        self.assertEqual(self.files(), {})

    def test_takes_what_is_selected(self):
        self.list("docs/a.pdf", "docs/b.pdf")
        for words, processed in ((("--limit", "1"), 1), (("--since", "2026-01-01"), 0)):
            with self.subTest(words):
                self.assertEqual(self.run_job("get_s3_files", *self.words, *words)[1]["processed"], processed)

    def test_names_what_is_missing(self):
        status, fact, err = self.run_job("get_s3_files", *self.words)
        self.assertEqual((status, fact["error"]), (3, "ConfigError"))
        self.assertIn("Check DATABASE_URL.", err)

        self.list("docs/a.pdf")
        for words in (("--agency-id", "x"), ("--agency-id", "10"), (*self.words, "--destination-bucket", "b")):
            with self.subTest(words):
                self.assertEqual(self.run_job("get_s3_files", *words)[0], 2)

    def test_has_a_script_of_its_own(self):
        """S4.1: with the options alone."""
        self.list("docs/a.pdf")
        self.addCleanup(setattr, sys, "argv", sys.argv)
        sys.argv = ["data-pipeline-get-s3-files", *self.words, "--lake", str(self.lake)]
        out = io.StringIO()
        err = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), self.assertRaises(SystemExit) as ended:
            cli.get_s3_files()
        self.assertEqual(ended.exception.code, 0)
        self.assertEqual(json.loads(out.getvalue())["files"], {"copied": 1})
