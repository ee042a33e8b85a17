import tempfile
import unittest
from pathlib import Path

from data_pipeline.lakehouse.database import Limits, duckdb_version, open_database
from etl_core.errors import AccessError


class Limited(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_the_memory_is_shared_by_all_workers(self):
        with open_database(Limits(memory_mb=1000, workers=4), self.folder) as database:
            row = database.execute("SELECT current_setting('memory_limit'), current_setting('threads')").fetchone()

        self.assertEqual(row, ("238.4 MiB", 1))  # 250 MB

    def test_nothing_is_printed_while_a_question_is_answered(self):
        with open_database(Limits(memory_mb=1000, workers=1), self.folder) as database:
            row = database.execute("SELECT current_setting('enable_progress_bar')").fetchone()

        self.assertEqual(row, (False,))

    def test_what_needs_more_memory_says_what_to_set(self):
        with (
            self.assertRaisesRegex(AccessError, "LAKEHOUSE_MEMORY_MB"),
            open_database(Limits(memory_mb=20, workers=2), self.folder) as database,
        ):
            database.execute("SELECT list(range) FROM range(10_000_000)")

    def test_a_folder_that_cannot_be_written_is_named(self):
        with (
            self.assertRaisesRegex(AccessError, "/proc/none"),
            open_database(Limits(memory_mb=100, workers=1), Path("/proc/none")) as database,
        ):
            database.execute("CREATE TABLE t AS SELECT range, repeat('x', 200) FROM range(3_000_000)")

    def test_its_version_is_part_of_what_builds_follow_from(self):
        self.assertRegex(duckdb_version(), r"^1\.")
