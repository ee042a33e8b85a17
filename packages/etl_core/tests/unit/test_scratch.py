import os
import stat
import tempfile
import threading
import unittest
from pathlib import Path

from etl_core.errors import AccessError, PermanentError
from etl_core.scratch import Scratch


class ScratchCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.parent = self.folder / "lake" / ".scratch"

    def scratch(self) -> Scratch:
        scratch = Scratch(self.parent)
        self.addCleanup(scratch.close)
        return scratch

    def folders(self):
        return sorted(entry for entry in self.parent.iterdir() if entry.is_dir())


class ScratchFolders(ScratchCase):
    def test_a_file_in_place_of_the_scratch_folder_is_an_error(self):
        self.parent.parent.mkdir()
        self.parent.touch()
        with self.assertRaises(FileExistsError):
            self.scratch().new()

    def test_no_scratch_folder_exists_before_its_first_use(self):
        scratch = self.scratch()
        scratch.close()
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_scratch_paths_are_new_and_lie_in_one_folder(self):
        scratch = self.scratch()
        paths = {scratch.new() for _ in range(10)}
        self.assertEqual(len(paths), 10)
        self.assertEqual({path.parent for path in paths}, {scratch.folder})
        self.assertFalse(any(path.exists() for path in paths))

    def test_two_scratch_folders_do_not_affect_each_other(self):
        one, two = self.scratch(), self.scratch()
        one.new().write_bytes(b"x")
        kept = two.new()
        kept.write_bytes(b"y")
        self.assertNotEqual(one.folder, two.folder)
        one.close()
        self.assertEqual(kept.read_bytes(), b"y")
        self.assertEqual(self.folders(), [two.folder])

    def test_closing_a_scratch_folder_removes_it(self):
        one, two = self.scratch(), self.scratch()
        for scratch in (one, two):
            (scratch.new()).write_bytes(b"x")
        one.close()
        two.close()
        two.close()
        self.assertFalse(self.parent.exists())
        self.assertTrue(self.parent.parent.exists())

    def test_a_closed_scratch_folder_can_be_used_again(self):
        scratch = self.scratch()
        first = scratch.folder
        scratch.close()
        self.assertNotEqual(scratch.folder, first)
        self.assertTrue(scratch.folder.is_dir())

    def test_only_unlocked_scratch_folders_are_removed(self):
        living = self.scratch()
        kept = living.new()
        kept.write_bytes(b"x")
        for name, locked in [("1-dead", True), ("2-killed-before-its-lock", False)]:
            (self.parent / name).mkdir()
            (self.parent / name / "part").write_bytes(b"half")
            if locked:
                (self.parent / name / "lock").touch()
        stray = self.parent / "a-file"
        stray.touch()
        new = self.scratch().folder
        self.assertEqual(self.folders(), sorted([living.folder, new]))
        self.assertEqual(kept.read_bytes(), b"x")
        stray.unlink()

    def test_threads_that_start_together_share_one_folder(self):
        for _ in range(5):
            scratch = self.scratch()
            barrier = threading.Barrier(8)
            found: list[Path] = []

            def begin(scratch=scratch, barrier=barrier, found=found) -> None:
                barrier.wait(20)
                path = scratch.new()
                path.write_bytes(b"x")
                found.append(path)

            threads = [threading.Thread(target=begin) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
            self.assertEqual({path.parent for path in found}, {scratch.folder})
            self.assertTrue(all(path.exists() for path in found))
            self.assertEqual(self.folders(), [scratch.folder])
            scratch.close()

    def test_only_one_thread_holds_the_lock_at_a_time(self):
        one, two = self.scratch(), self.scratch()
        inside = most = 0

        def work(scratch) -> None:
            nonlocal inside, most
            for _ in range(50):
                with scratch.exclusive():
                    inside += 1
                    most = max(most, inside)
                    (self.folder / "touched").touch()
                    inside -= 1

        threads = [threading.Thread(target=work, args=(scratch,)) for scratch in (one, one, two, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        self.assertEqual(most, 1)

    def test_scratch_folders_that_open_and_close_in_many_threads_work(self):
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(40):
                    scratch = Scratch(self.parent)
                    path = scratch.new()
                    path.write_bytes(b"x")
                    assert path.read_bytes() == b"x"
                    scratch.close()
            except BaseException as error:  # noqa: BLE001 - told below
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(failures, [])
        self.assertFalse(self.parent.exists())


class AmongOtherUsers(ScratchCase):
    """As in /tmp, where anybody may make the folder first."""

    def setUp(self):
        super().setUp()
        self.parent = self.folder / "product-1000"
        self.victim = self.folder / "victim"

    def use(self) -> None:
        """All that a process does with it; one that only reads closes it without use."""
        scratch = Scratch(self.parent, is_private=True)
        try:
            scratch.new().write_bytes(b"x")
        finally:
            scratch.close()

    def test_a_private_folder_is_closed_to_others_and_removed(self):
        scratch = Scratch(self.parent, is_private=True)
        self.assertEqual(stat.S_IMODE(scratch.folder.parent.stat().st_mode), 0o700)
        scratch.close()
        self.assertFalse(self.parent.exists())

    def test_a_folder_that_others_may_enter_is_refused_and_nothing_in_it_is_touched(self):
        (self.parent / "1-dead").mkdir(parents=True)
        (self.parent / "lock").symlink_to(self.victim)
        os.mkfifo(self.parent / "1-dead" / "lock")
        self.parent.chmod(0o777)

        with self.assertRaises(AccessError):
            self.use()
        Scratch(self.parent, is_private=True).close()

        self.assertFalse(self.victim.exists())
        self.assertEqual(sorted(path.name for path in self.parent.iterdir()), ["1-dead", "lock"])

    def test_a_link_in_place_of_the_folder_is_not_followed(self):
        elsewhere = self.folder / "elsewhere"
        (elsewhere / "1-dead").mkdir(parents=True)
        self.parent.symlink_to(elsewhere)

        with self.assertRaises(PermanentError):
            self.use()
        Scratch(self.parent, is_private=True).close()

        self.assertEqual([path.name for path in elsewhere.iterdir()], ["1-dead"])

    def test_the_lock_of_a_folder_behind_a_link_is_not_taken_whether_it_is_private_or_not(self):
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        self.parent.symlink_to(elsewhere)
        for is_private in (False, True):
            with (
                self.subTest(is_private=is_private),
                self.assertRaisesRegex(AccessError, "is a link, and unfinished files are kept in no folder behind one"),
                Scratch(self.parent, is_private=is_private).exclusive(),
            ):
                self.fail("the lock behind a link was taken")
        self.assertEqual(list(elsewhere.iterdir()), [])

    def test_links_and_pipes_in_a_folder_of_our_own_are_neither_followed_nor_waited_for(self):
        self.parent.mkdir(mode=0o700)
        (self.parent / "1-dead").mkdir()
        os.mkfifo(self.parent / "1-dead" / "lock")
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        (self.parent / "2-link").symlink_to(elsewhere)

        scratch = Scratch(self.parent, is_private=True)
        self.addCleanup(scratch.close)
        made = scratch.folder
        self.assertEqual(self.folders(), sorted([self.parent / "2-link", made]))
        self.assertTrue(elsewhere.exists())
