import errno
import hashlib
import io
import os
import shutil
import stat
import tempfile
import unittest
from pathlib import Path

from etl_core.errors import AccessError, DataError, PermanentError, PipelineError, UnavailableError
from etl_core.lake.directory import POLICY, READ_BYTES, DirectoryStore
from etl_core.lake.port import PutResult
from etl_core.testing import ManualClock
from packages.etl_core.tests.support.file_systems import folder_elsewhere


class DirectoryStoreCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "lake"
        self.store = self.opened()

    def opened(self):
        store = DirectoryStore(self.root)
        self.addCleanup(store.close)
        return store


class Failing(DirectoryStoreCase):
    """A network file system that fails for a moment: at the open, or after some bytes."""

    def failing(self, *failures):
        left = list(failures)

        class Stream(io.FileIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if left and left[0][0] == "read" and self.tell():
                    raise OSError(left.pop(0)[1], "no")
                return super().read(size)

        def open_place(place):
            if left and left[0][0] == "open":
                raise OSError(left.pop(0)[1], "no")
            return Stream(place.path)

        clock = ManualClock()
        store = DirectoryStore(self.root, open_place=open_place, sleep=clock.sleep)
        self.addCleanup(store.close)
        return store, clock

    def test_what_fails_for_a_moment_is_read_again_where_it_broke_off(self):
        body = os.urandom(READ_BYTES * 2 + 7)
        self.store.put_new("a", body)
        for number in (errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EAGAIN):
            with self.subTest(number):
                store, clock = self.failing(("open", number), ("read", number), ("open", number), ("read", number))
                self.assertEqual(store.get("a"), body)
                self.assertEqual(len(clock.slept), 4)

    def test_what_fails_each_time_is_temporary(self):
        self.store.put_new("a", b"x")
        store, clock = self.failing(*[("open", errno.EIO)] * POLICY.attempts)
        with self.assertRaisesRegex(UnavailableError, "cannot read .*/a: Input/output error"):
            store.get("a")
        self.assertEqual(len(clock.slept), POLICY.attempts - 1)

    def test_what_is_refused_for_good_is_not_asked_again(self):
        self.store.put_new("a", b"x")
        store, clock = self.failing(("open", errno.EACCES))
        with self.assertRaisesRegex(AccessError, "cannot read .*/a: Permission denied"):
            list(store.read("a"))
        self.assertEqual(clock.slept, [])


class Unusual(DirectoryStoreCase):
    """File systems that lack something, as FUSE, SMB and desktops have them."""

    def opened_with(self, **lacking):
        store = DirectoryStore(self.root, **lacking)
        self.addCleanup(store.close)
        return store

    def test_a_folder_that_cannot_be_synced_is_no_error_and_a_file_that_cannot_is_one(self):
        def refuse(number, folders):
            def fsync(descriptor):
                if stat.S_ISDIR(os.fstat(descriptor).st_mode) == folders:
                    raise OSError(number, "no")

            return fsync

        for number in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            with self.subTest(number):
                store = self.opened_with(fsync=refuse(number, folders=True))
                self.assertTrue(store.put_new(f"a/{number}", b"x").created)
                store.put(f"a/{number}", b"y")
                self.assertEqual(store.get(f"a/{number}"), b"y")
        for number, folders in ((errno.EIO, True), (errno.EINVAL, False)):
            with self.subTest(number, folders=folders), self.assertRaisesRegex(PipelineError, "cannot write .*: "):
                self.opened_with(fsync=refuse(number, folders=folders)).put_new(f"b{number}", b"x")

    def test_without_hard_links_a_key_is_still_created_once(self):
        def refuse(*_, **__):
            raise OSError(number, "no")

        for number in (errno.EIO, errno.EACCES, errno.EINVAL, errno.EXDEV, errno.EPERM, errno.ENOSYS):
            with self.subTest(number):
                store = self.opened_with(link=refuse)
                path = store.scratch_file()
                path.write_bytes(b"from a file")
                self.assertTrue(store.put_new(f"{number}/a", path).created)
                self.assertFalse(store.put_new(f"{number}/a", b"other").created)
                self.assertEqual(store.get(f"{number}/a"), b"from a file")
                self.assertTrue(store.put_new(f"{number}/b", b"bytes").created)

    def test_what_desktops_and_file_systems_leave_in_folders_is_no_object(self):
        self.store.put_new("raw/a.csv", b"x")
        for name in (
            ".DS_Store",
            "._a.csv",
            "Thumbs.db",
            "desktop.ini",
            ".nfs0000001",
            ".fuse_hidden01",
            "lost+found/x",
        ):
            path = self.root / "raw" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"junk")
        self.assertEqual([one.key for one in self.store.list("")], ["raw/a.csv"])


class Objects(DirectoryStoreCase):
    def files(self):
        return sorted(
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.is_file() and path.name != "lock"
        )

    def test_an_object_is_a_file_named_by_its_key(self):
        self.store.put_new("raw/year=2024/part-1-of-1.csv", b"x")
        self.assertEqual((self.root / "raw/year=2024/part-1-of-1.csv").read_bytes(), b"x")
        self.assertEqual(self.store.url, self.root.as_uri())

    def test_a_relative_root_is_relative_to_the_working_directory(self):
        self.addCleanup(os.chdir, Path.cwd())
        self.root.parent.mkdir(exist_ok=True)
        os.chdir(self.root.parent)
        store = DirectoryStore(Path("lake"))
        self.addCleanup(store.close)
        os.chdir("/")
        store.put_new("a", b"x")
        self.assertEqual(self.store.get("a"), b"x")

    def test_a_scratch_file_is_moved_not_copied(self):
        path = self.store.scratch_file()
        path.write_bytes(b"x")
        number = path.stat().st_ino
        self.store.put_new("a/b", path)
        self.assertEqual((self.root / "a/b").stat().st_ino, number)
        self.assertEqual((self.root / "a/b").stat().st_nlink, 1)

    def test_a_file_from_another_file_system_is_copied(self):
        body = b"x" * 100_000
        with folder_elsewhere(self.root.parent) as folder:
            for key, created in [("a/b", True), ("a/b", False), ("c", True)]:
                path = folder / "body"
                path.write_bytes(body)
                result = self.store.put_new(key, path)
                self.assertEqual(result, PutResult(created, hashlib.sha256(body).hexdigest()))
                self.assertFalse(path.exists())
        self.assertEqual(self.store.get("a/b"), body)
        self.assertEqual(self.files(), ["a/b", "c"])

    def test_a_folder_in_place_of_an_object_is_no_free_key(self):
        self.store.put_new("a/b", b"x")
        for key in ("a", "e"):
            (self.root / key).mkdir(exist_ok=True)
            with self.assertRaisesRegex(DataError, f"/{key} is a folder, and a lake"):
                self.store.head(key)
            self.assertIsNone(self.store.get(key))

    def test_bytes_reach_the_disk_before_their_name_and_the_name_before_the_end(self):
        """A power cut leaves the whole object or none, and never loses one that was reported as written."""
        synced: list[tuple[int, int | None, bool]] = []

        def note(descriptor: int) -> None:
            found = os.fstat(descriptor)
            size = found.st_size if stat.S_ISREG(found.st_mode) else None
            synced.append((found.st_ino, size, (self.root / "raw/a").exists()))

        def from_elsewhere(folder: Path) -> Path:
            path = folder / "body"
            path.write_bytes(b"x" * 9)
            return path

        self.root.mkdir()
        with folder_elsewhere(self.root.parent) as elsewhere:
            for name, write in {
                "bytes": lambda store: store.put_new("raw/a", b"x" * 9),
                "a file": lambda store: store.put_new("raw/a", from_elsewhere(store.scratch_file().parent)),
                "a file of another disk": lambda store: store.put_new("raw/a", from_elsewhere(Path(elsewhere))),
                "a replacement": lambda store: store.put("raw/a", b"x" * 9),
            }.items():
                with self.subTest(name):
                    synced.clear()
                    store = DirectoryStore(self.root, fsync=note)
                    write(store)
                    store.close()
                    written, folder = (self.root / "raw/a").stat().st_ino, (self.root / "raw").stat().st_ino
                    self.assertEqual(synced[-2:], [(written, 9, False), (folder, None, True)])
                    (self.root / "raw/a").unlink()

    def test_a_folder_of_keys_cannot_be_a_key(self):
        self.store.put_new("a/b", b"x")
        with self.assertRaisesRegex(PermanentError, f"cannot write {self.root}/a: Is a directory"):
            self.store.put_new("a", b"y")
        with self.assertRaisesRegex(PermanentError, f"cannot write {self.root}/a: Is a directory"):
            self.store.put("a", b"y")
        with self.assertRaisesRegex(PermanentError, f"cannot write {self.root}/a/b/c: "):
            self.store.put_new("a/b/c", b"y")
        self.assertEqual(self.files(), ["a/b"])  # nothing in scratch either

    def test_a_file_that_could_not_be_put_is_removed(self):
        self.store.put_new("a/b", b"x")
        path = self.store.scratch_file()
        path.write_bytes(b"y")
        with self.assertRaises(PermanentError):
            self.store.put_new("a/b/c", path)
        self.assertFalse(path.exists())

    def test_unfinished_objects_are_not_listed(self):
        self.store.put_new("a/b", b"x")
        other = self.opened()
        other.scratch_file().write_bytes(b"half of it")
        (self.root / "a" / ".scratch-0123").write_bytes(b"half of a copy")
        (self.root / "empty").mkdir()
        self.assertEqual([info.key for info in self.store.list("")], ["a/b"])
        self.assertEqual([info.key for info in self.store.list("a/")], ["a/b"])

    def test_objects_are_listed_in_the_order_of_their_keys_not_of_their_folders(self):
        keys = sorted(["a/b", "a-b", "a.csv", "a/b-c/d", "a/b.csv", "ab/c", "a0", "b"])
        for key in reversed(keys):
            self.store.put_new(key, b"x")
        for prefix in ("", "a", "a/", "a/b", "a/b/", "c", "a-b/"):
            with self.subTest(prefix=prefix):
                listed = [info.key for info in self.store.list(prefix)]
                self.assertEqual(listed, [key for key in keys if key.startswith(prefix)])

    def test_a_listing_reads_no_folder_before_it_comes_to_it(self):
        for key in ("a", "b/c", "d/e"):
            self.store.put_new(key, b"x")
        listed = self.store.list("")

        self.assertEqual(next(listed).key, "a")
        shutil.rmtree(self.root / "b")
        self.assertEqual([info.key for info in listed], ["d/e"])

    def test_a_root_below_a_folder_named_like_scratch_works(self):
        self.root = self.root.with_name(".scratch-lake")
        store = self.opened()
        store.put_new("a/b", b"x")
        self.assertEqual([info.key for info in store.list("")], ["a/b"])

    def test_closing_leaves_only_objects(self):
        self.store.put_new("a", b"x")
        self.store.put_new("a", b"y")
        self.store.put("b", b"z")
        self.store.scratch_file().write_bytes(b"half of it")
        self.store.close()
        self.assertEqual(sorted(path.name for path in self.root.iterdir()), ["a", "b"])


class Links(DirectoryStoreCase):
    """A lake may come from anybody: no operation reaches through a link, or reads what is no file."""

    def setUp(self):
        super().setUp()
        self.elsewhere = self.root.parent / "elsewhere"
        (self.elsewhere / "folder").mkdir(parents=True)
        for name in ("secret", "folder/secret"):
            (self.elsewhere / name).write_bytes(b"not of the lake")
        self.store.put_new("raw/a", b"x")

    def everything_elsewhere(self):
        return sorted(path.relative_to(self.elsewhere).as_posix() for path in self.elsewhere.rglob("*"))

    def actions_on(self, key):
        path = self.root.parent / "body"
        path.write_bytes(b"y")
        return {
            "put_new": lambda: self.store.put_new(key, b"y"),
            "put_new of a file": lambda: self.store.put_new(key, path),
            "get": lambda: self.store.get(key),
            "read": lambda: list(self.store.read(key)),
            "head": lambda: self.store.head(key),
            "local_path": lambda: self.store.local_path(key),
        }

    def test_are_not_followed_and_devices_and_pipes_not_read(self):
        (self.root / "raw/file").symlink_to(self.elsewhere / "secret")
        (self.root / "raw/endless").symlink_to("/dev/zero")
        (self.root / "raw/dangling").symlink_to(self.elsewhere / "new")
        (self.root / "raw/folder").symlink_to(self.elsewhere / "folder")
        os.mkfifo(self.root / "raw/pipe")
        before = self.everything_elsewhere()
        for key, what in [
            ("raw/file", "a link"),
            ("raw/endless", "a link"),
            ("raw/dangling", "a link"),
            ("raw/folder", "a link"),
            ("raw/folder/secret", "a link"),
            ("raw/folder/new/key", "a link"),
            ("raw/pipe", "no regular file"),
        ]:
            for name, action in self.actions_on(key).items():
                with self.subTest(key, action=name):
                    with self.assertRaises(DataError) as caught:
                        action()
                    named = "/".join(key.split("/")[:2])
                    self.assertIn(f"{self.root}/{named} is {what}, ", str(caught.exception))
        with self.assertRaisesRegex(DataError, "raw/folder is a link"):
            self.store.put("raw/folder/secret", b"y")
        with self.assertRaisesRegex(DataError, "raw/folder is a link"):
            self.store.delete("raw/folder/secret")
        self.assertEqual(self.everything_elsewhere(), before)
        self.assertEqual((self.elsewhere / "folder/secret").read_bytes(), b"not of the lake")

    def test_are_listed_by_their_own_name(self):
        (self.root / "raw/file").symlink_to(self.elsewhere / "secret")
        (self.root / "raw/folder").symlink_to(self.elsewhere / "folder")
        self.assertEqual([info.key for info in self.store.list("raw/")], ["raw/a", "raw/file", "raw/folder"])
        with self.assertRaisesRegex(DataError, "raw/folder is a link"):
            list(self.store.list("raw/folder/"))

    def test_are_replaced_and_removed_and_not_what_they_lead_to(self):
        for key, target in [("raw/file", "secret"), ("raw/folder", "folder")]:
            for action in ("delete", "put"):
                if action == "put" and target == "folder":
                    continue
                (self.root / key).symlink_to(self.elsewhere / target)
                self.store.delete(key) if action == "delete" else self.store.put(key, b"y")
                self.assertFalse((self.root / key).is_symlink())
        self.assertEqual(self.store.get("raw/file"), b"y")
        self.assertEqual(self.everything_elsewhere(), ["folder", "folder/secret", "secret"])

    def test_as_the_scratch_folder_are_refused_and_nothing_behind_them_is_swept(self):
        self.store.close()
        (self.root / ".scratch").symlink_to(self.elsewhere)
        store = self.opened()
        with self.assertRaisesRegex(AccessError, r"\.scratch is a link"):
            store.put_new("raw/b", b"y")
        store.close()
        self.assertEqual(self.everything_elsewhere(), ["folder", "folder/secret", "secret"])

    def test_within_the_scratch_folder_are_not_followed(self):
        folder = self.store.scratch_file().parent.parent
        (folder / "linked").symlink_to(self.elsewhere / "folder")
        (folder / "stray").mkdir()
        (folder / "stray/lock").symlink_to(self.elsewhere / "secret")
        self.store.close()
        self.assertEqual(self.everything_elsewhere(), ["folder", "folder/secret", "secret"])

    def test_the_root_may_be_one(self):
        linked = self.root.parent / "linked"
        linked.symlink_to(self.root)
        self.root = linked
        self.assertEqual(self.opened().get("raw/a"), b"x")
