import os
import stat
import tempfile
import unittest
from pathlib import Path

from etl_core.errors import AccessError, PermanentError
from etl_core.private_folder import PrivateFolder, first_usable, require_private


class FolderCase(unittest.TestCase):
    def setUp(self):
        self.base = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.victim = self.base / "victim"
        self.victim.write_text("precious")
        self.folder = PrivateFolder(self.base, "product", "shared")

    def make(self) -> Path:
        with self.folder.opened():
            return self.folder.path


class Opening(FolderCase):
    def test_every_folder_below_the_base_is_closed_to_others(self):
        base = self.base / "cache"

        with PrivateFolder(base, "product", "shared").opened():
            made = [base, base / "product", base / "product" / "shared"]

        self.assertEqual([stat.S_IMODE(one.stat().st_mode) for one in made], [0o700] * 3)

    def test_a_base_whose_parent_is_missing_is_not_made(self):
        with self.assertRaises(PermanentError), PrivateFolder(self.base / "no" / "base", "x").opened():
            pass
        self.assertFalse((self.base / "no").exists())

    def test_a_link_in_place_of_a_folder_is_not_followed(self):
        elsewhere = self.base / "elsewhere"
        elsewhere.mkdir(mode=0o700)
        for name in ("product", "product/shared"):
            with self.subTest(name):
                link = self.base / name
                link.parent.mkdir(mode=0o700, exist_ok=True)
                link.symlink_to(elsewhere)
                with self.assertRaisesRegex(PermanentError, f"cannot use {link}"):
                    self.folder.open_file("lock")
                self.assertEqual(list(elsewhere.iterdir()), [])
                link.unlink()

    def test_a_folder_that_others_may_enter_is_refused_and_left_as_it_is(self):
        path = self.make()
        for mode in (0o755, 0o770, 0o777, 0o1777):
            path.chmod(mode)
            with self.subTest(oct(mode)), self.assertRaisesRegex(AccessError, f"other users may enter {path}"):
                self.folder.open_file("lock")
            self.assertEqual(list(path.iterdir()), [])

    @unittest.skipUnless(os.getuid() == 0, "only root can give a folder to another user")
    def test_a_folder_of_another_user_is_refused(self):
        path = self.make()
        os.chown(path, 12345, 12345)

        with self.assertRaisesRegex(AccessError, f"{path} belongs to another user .uid 12345."):
            self.folder.open_file("lock")

    @unittest.skipUnless(os.getuid() == 0, "only root can give a link to another user")
    def test_a_base_may_be_a_link_of_this_user_and_not_of_another(self):
        disk, link = self.base / "disk", self.base / "link"
        disk.mkdir()
        link.symlink_to(disk)
        folder = PrivateFolder(link, "product")
        folder.replace("state", b"x")
        self.assertEqual(folder.read("state", limit=1), b"x")

        os.chown(link, 12345, 12345, follow_symlinks=False)

        with self.assertRaisesRegex(AccessError, "is a link that another user made"):
            folder.read("state", limit=1)

    def test_a_folder_removed_meanwhile_is_made_again(self):
        path = self.make()
        path.rmdir()
        self.folder.replace("state", b"x")
        self.assertEqual((path / "state").read_bytes(), b"x")

    def test_no_descriptor_is_left_open(self):
        def descriptors() -> int:
            return len(list(Path("/proc/self/fd").iterdir()))

        self.folder.replace("state", b"x")
        before = descriptors()
        self.folder.read("state", limit=1)
        self.folder.replace("state", b"y")
        os.close(self.folder.open_file("lock"))
        with self.assertRaises(PermanentError):
            PrivateFolder(self.victim, "x").open_file("lock")
        self.assertEqual(descriptors(), before)


class Files(FolderCase):
    def test_content_is_replaced_and_read(self):
        for body in (b"one", b"", b"three"):
            self.folder.replace("state", body)
            self.assertEqual(self.folder.read("state", limit=5), body)
        self.assertEqual([path.name for path in self.folder.path.iterdir()], ["state"])

    def test_a_file_that_is_missing_or_too_long_reads_as_none(self):
        self.assertIsNone(self.folder.read("state", limit=5))
        self.folder.replace("state", b"123456")
        self.assertIsNone(self.folder.read("state", limit=5))

    def test_a_link_is_neither_read_nor_written_through(self):
        path = self.make()
        for name in ("state", "state.new", "lock"):
            (path / name).symlink_to(self.victim)

        self.assertIsNone(self.folder.read("state", limit=100))
        with self.assertRaises(PermanentError):
            self.folder.open_file("lock")
        self.folder.replace("state", b"ours")

        self.assertEqual(self.victim.read_text(), "precious")
        self.assertEqual((path / "state").read_bytes(), b"ours")
        self.assertFalse((path / "state").is_symlink())

    def test_what_is_no_file_is_neither_read_nor_opened(self):
        path = self.make()
        os.mkfifo(path / "pipe")
        (path / "folder").mkdir()
        for name in ("pipe", "folder"):
            with self.subTest(name):
                self.assertIsNone(self.folder.read(name, limit=100))
                with self.assertRaises(PermanentError):
                    self.folder.open_file(name)


class Choosing(FolderCase):
    def test_the_first_that_can_be_used_is_taken(self):
        no = PrivateFolder(self.victim, "x")
        self.assertIs(first_usable([no, self.folder, PrivateFolder(self.base, "y")], advice="."), self.folder)
        self.assertFalse((self.base / "y").exists())

    def test_without_any_the_error_says_what_is_wrong_with_each(self):
        one, other = PrivateFolder(self.victim, "x"), PrivateFolder(self.base / "no" / "base", "x")
        with self.assertRaises(AccessError) as caught:
            first_usable([one, other], advice="Name another.")
        said = str(caught.exception)
        self.assertIn(f"cannot use {self.victim}: Not a directory", said)
        self.assertIn(f"cannot use {self.base}/no/base: No such file or directory", said)
        self.assertTrue(said.endswith(" Name another."))

    def test_a_folder_given_by_its_path_is_made_private(self):
        require_private(self.base / "own")
        self.assertEqual(stat.S_IMODE((self.base / "own").stat().st_mode), 0o700)
        (self.base / "own").chmod(0o755)
        with self.assertRaises(AccessError):
            require_private(self.base / "own")
