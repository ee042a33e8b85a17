"""Tables of runs of other domains, by the jobs that make those of payments."""

import contextlib
import io
import json
from typing import Any

from data_pipeline.agency_files import decide
from data_pipeline.agency_files.documents import CONTRACT
from data_pipeline.cli import exit_code_of
from data_pipeline.lakehouse.contract import Contract
from packages.data_pipeline.tests.unit.agency_files.agency import make_database
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class AgencyFiles(CommandCase):
    def copy(self, agency: int, *words: str) -> str:
        """A run of an agency; its name."""
        source = self.folder / "documents"
        self.words = ("--agency-id", str(agency), "--source-bucket", str(source), *words)
        return str(self.run_job("get_s3_files", *self.words)[1]["run_id"])

    def setUp(self) -> None:
        super().setUp()
        (self.folder / "documents").mkdir()
        for name in ("a.pdf", "b, c.pdf"):
            (self.folder / "documents" / name).write_text("of " + name)
        rows = [(10, 1, "a.pdf", 8, None), (10, 2, "b, c.pdf", None, "2026-01-02 03:04:05"), (10, 3, "a\n=1", 1, None)]
        make_database(self.folder / "data" / "agency_files.db", [*rows, (11, 4, "a.pdf", 7, None)])

    def ask(self, question: str) -> list[dict[str, Any]]:
        out = io.TextIOWrapper(io.BytesIO(), newline="")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            status = exit_code_of(["run", "query", "--", question, "--format", "json", "--lake", str(self.lake)])
        out.flush()
        self.assertEqual(status, 0)
        return [json.loads(line) for line in out.buffer.getvalue().splitlines()]

    def tables_of(self, run_id: str) -> dict[str, Any]:
        for job in ("stage", "build_curated"):
            status, fact, err = self.run_job(job, "--run-id", run_id)
            self.assertEqual(status, 0, err)
        return fact

    def test_of_all_agencies_are_one_table(self):
        for agency in (10, 11):
            fact = self.tables_of(self.copy(agency))
        self.assertEqual((fact["dataset"], fact["rows"], fact["quarantined"]), ("agency_files", 1, 0))

        found = self.ask("SELECT * FROM agency_files ORDER BY file_id")
        self.assertEqual([(one["agency_id"], one["file_id"], one["status"]) for one in found], [
            (10, "1", "copied"), (10, "2", "copied"), (10, "3", "refused name"), (11, "4", "copied"),
        ])  # fmt: skip
        self.assertEqual([one["size"] for one in found], [8, 11, None, 8])
        self.assertEqual([one["listed_size"] for one in found], [8, None, 1, 7])
        self.assertEqual(found[1]["updated_at"], "2026-01-02T03:04:05+00:00")
        self.assertEqual(found[2]["source_key"], "a\n=1")
        self.assertEqual({one["_flags"] for one in found}, {None})

    def test_of_a_later_run_replace_those_of_an_earlier_one_of_the_agency(self):
        self.tables_of(self.copy(10))
        run_id = self.copy(10)
        self.tables_of(run_id)
        found = self.ask("SELECT DISTINCT status, release FROM agency_files ORDER BY status")
        self.assertEqual([one["status"] for one in found], ["already there", "refused name"])
        self.assertEqual({one["release"] for one in found}, {run_id})
        self.assertEqual(self.run_job("stage", "--run-id", run_id)[1]["status"], "already staged")

    def test_are_not_made_of_a_run_of_some_files(self):
        run_id = self.copy(10, "--limit", "1")
        status, _, err = self.run_job("stage", "--run-id", run_id)
        self.assertEqual(status, 2)
        self.assertIn("has only a part of the files of agency 10", err)

    def test_have_the_columns_of_the_metadata(self):
        self.assertEqual(Contract.from_toml(CONTRACT.read_text(encoding="utf-8")).header, decide.COLUMNS)
