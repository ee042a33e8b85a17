import signal
import unittest
from dataclasses import replace
from datetime import timedelta

from data_pipeline.agency_files.copy import STREAMS, Copies
from etl_core.errors import StoppedError
from etl_core.progress import Progress
from etl_core.stop import Stop
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.agency_files.agency import FOLDER, NOW, RefusingStore, a_file


class CopiesOfAnAgency(unittest.TestCase):
    def setUp(self) -> None:
        self.source = RefusingStore()
        self.lake = MemoryStore(lambda: NOW)
        self.addCleanup(self.lake.close)
        self.stop = Stop()

    def copies(self, *, dry_run: bool = False) -> Copies:
        return Copies(self.source, self.lake, FOLDER, Progress(), self.stop.check, dry_run)

    def statuses(self, *files, dry_run: bool = False) -> list[str]:
        return [one.status for one in self.make(files, dry_run=dry_run)]

    def make(self, files, *, dry_run: bool = False):
        copies = self.copies(dry_run=dry_run)
        return copies.make(copies.at_sight(files))

    def put(self, *keys: str) -> None:
        for key in keys:
            self.source.put(key, b"of " + key.encode())

    def test_go_below_the_folder_and_are_found_there_the_next_time(self):
        self.put("docs/a.pdf", "docs/b c.pdf")
        files = a_file(1, "docs/a.pdf"), a_file(2, "docs/b c.pdf")

        self.assertEqual(self.statuses(*files), ["copied", "copied"])
        self.assertEqual(self.lake.get(f"{FOLDER}docs/b c.pdf"), b"of docs/b c.pdf")
        self.source.asked.clear()
        written = len(self.lake.writes)
        self.assertEqual(self.statuses(*files), ["already there", "already there"])
        self.assertEqual((self.source.asked, len(self.lake.writes)), ([], written))

    def test_of_files_that_nobody_can_copy_end_nothing_else(self):
        self.put("docs/a.pdf", "docs/denied.pdf", "docs/z.pdf", "docs/broken.pdf")
        self.source.denied, self.source.broken = {"docs/denied.pdf"}, {"docs/broken.pdf"}
        names = "docs/a.pdf", "../a.pdf", "docs/missing.pdf", "docs/denied.pdf", "docs/broken.pdf", "docs/z.pdf"

        made = self.make([a_file(number, name) for number, name in enumerate(names)])

        self.assertEqual(
            [one.status for one in made], ["copied", "refused name", "missing", "denied", "failed", "copied"]
        )
        self.assertEqual([one.file.key for one in made], list(names))
        self.assertEqual([one.temporary for one in made], [False] * 4 + [True, False])
        self.assertEqual([one.key for one in self.lake.list("")], [f"{FOLDER}docs/a.pdf", f"{FOLDER}docs/z.pdf"])

    def test_say_missing_or_denied_where_the_source_may_not_be_listed(self):
        self.put("docs/a.pdf", "docs/denied.pdf")
        self.source.denied, self.source.may_list = {"docs/denied.pdf"}, False
        names = "docs/a.pdf", "docs/denied.pdf", "docs/missing.pdf"
        self.assertEqual(
            self.statuses(*(a_file(number, name) for number, name in enumerate(names))),
            ["copied", "missing or denied", "missing or denied"],
        )

    def test_of_a_newer_source_are_kept_and_reported(self):
        self.put("docs/a.pdf", "docs/b.pdf")
        self.statuses(a_file(1, "docs/a.pdf"), a_file(2, "docs/b.pdf"))
        later = NOW + timedelta(hours=1)
        self.source._now = lambda: later
        self.source.put("docs/a.pdf", b"a longer document")
        listed = a_file(1, "docs/a.pdf", updated_at=later), a_file(2, "docs/b.pdf", updated_at=later)

        self.assertEqual(self.statuses(*listed), ["changed at source", "already there"])
        self.assertEqual(self.lake.get(f"{FOLDER}docs/a.pdf"), b"of docs/a.pdf")

    def test_are_not_made_over_another_file(self):
        self.put("docs/a.pdf")
        self.lake.put(f"{FOLDER}docs/a.pdf", b"theirs")
        self.assertEqual(self.statuses(a_file(1, "docs/a.pdf", size=13)), ["failed"])
        self.assertEqual(self.lake.get(f"{FOLDER}docs/a.pdf"), b"theirs")

    def test_of_a_dry_run_are_named_and_not_made(self):
        self.put("docs/a.pdf")
        self.assertEqual(
            self.statuses(a_file(1, "docs/a.pdf"), a_file(2, "docs/no.pdf"), dry_run=True), ["to copy", "missing"]
        )
        self.assertEqual(self.lake.writes, [])

    def test_of_a_source_that_never_answers_are_given_up(self):
        names = [f"docs/{number:03}.pdf" for number in range(10 * STREAMS)]
        self.put(*names)
        self.source.broken = set(names)
        made = self.make([a_file(number, name) for number, name in enumerate(names)])

        self.assertEqual({one.status for one in made}, {"failed"})
        self.assertTrue(all(one.temporary for one in made))
        tried = [one for one in self.source.asked if one.startswith("read")]
        self.assertLess(len(tried), 4 * STREAMS)
        self.assertIn(f"not tried after {2 * STREAMS} consecutive failures, the last: cannot read", made[-1].detail)

    def test_count_only_if_the_lake_lists_them_in_their_size(self):
        class Truncating(MemoryStore):
            def list(self, prefix):
                return (replace(one, size=one.size - 1) for one in super().list(prefix))

        self.lake = Truncating(lambda: NOW)
        self.addCleanup(self.lake.close)
        self.put("docs/a.pdf")
        (made,) = self.make([a_file(1, "docs/a.pdf")])
        self.assertEqual((made.status, made.detail), ("failed", "the lake lists 12 bytes under the key of the copy"))

    def test_end_when_asked_to_stop(self):
        self.put("docs/a.pdf")
        self.stop.request(signal.SIGTERM)
        with self.assertRaises(StoppedError):
            self.statuses(a_file(1, "docs/a.pdf"))
