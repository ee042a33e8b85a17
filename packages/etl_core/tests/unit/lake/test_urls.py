import tempfile
import unittest
from pathlib import Path

from etl_core.errors import ConfigError
from etl_core.lake import open_store, overlap
from etl_core.lake.directory import DirectoryStore
from etl_core.lake.s3 import S3Store


class OpenStore(unittest.TestCase):
    def opened(self, url):
        store = open_store(url, named="LAKE")
        self.addCleanup(store.close)
        return store

    def test_a_folder_can_be_a_path_or_a_file_url(self):
        for url, root in [
            ("/lakes/one", "/lakes/one"),
            ("lakes/one", f"{Path.cwd()}/lakes/one"),
            ("./data", f"{Path.cwd()}/data"),
            ("~/lake", f"{Path.home()}/lake"),
            ("/lakes/a%20b#c?d", "/lakes/a%20b#c?d"),
            ("file:///lakes/one", "/lakes/one"),
            ("file://localhost/lakes/one", "/lakes/one"),
            ("file:///lakes/a%20b", "/lakes/a b"),
        ]:
            with self.subTest(url):
                store = self.opened(url)
                self.assertIsInstance(store, DirectoryStore)
                assert isinstance(store, DirectoryStore)
                self.assertEqual(store.root, Path(root))
                self.assertEqual(self.opened(store.url).url, store.url)

    def test_opening_a_store_creates_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            store = self.opened(f"{folder}/lake")
            self.assertEqual(list(store.list("")), [])
            self.assertIsNone(store.get("a"))
            store.close()
            self.assertEqual(list(Path(folder).iterdir()), [])

    def test_a_bucket_can_have_a_prefix(self):
        for url, told in [
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("s3://bucket/a/b", "s3://bucket/a/b"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
            ("s3://my.bucket-1/x", "s3://my.bucket-1/x"),
        ]:
            with self.subTest(url):
                store = self.opened(url)
                self.assertIsInstance(store, S3Store)
                self.assertEqual(store.url, told)

    def test_an_invalid_url_is_an_error_that_shows_valid_ones(self):
        with tempfile.NamedTemporaryFile() as file:
            for url, told, advice in [
                ("", "LAKE is empty", "Give a folder, file:///… or s3://bucket/prefix."),
                ("  ", "LAKE is empty", "Give a folder"),
                ("~nobody-of-this-name/lake", "is in no home known here", "Give the whole path"),
                ("file://data/lake", "LAKE='file://data/lake' names a host", "file:///path (three slashes)"),
                ("s3://", "LAKE='s3://' names no bucket", "s3://bucket/prefix"),
                ("s3:///prefix", "names no bucket", "s3://bucket/prefix"),
                ("s3://A_B/x", "names no bucket", "s3://bucket/prefix"),
                ("s3://ab/x", "names no bucket", "s3://bucket/prefix"),
                ("s3://-abc/x", "names no bucket", "s3://bucket/prefix"),
                ("s3://user@bucket/x", "names no bucket", "s3://bucket/prefix"),
                ("s3://me:secret@bucket/x", "LAKE='s3://…@bucket/x' names no bucket", "s3://bucket/prefix"),
                ("s3://me:/secret@bucket/x", "LAKE='s3://…@bucket/x' names no bucket", "s3://bucket/prefix"),
                ("file://me:secret@host/x", "LAKE='file://…@host/x' names a host", "file:///path"),
                ("https://me:secret@host/x", "LAKE='https://…@host/x' has an unknown scheme", "s3://bucket/prefix"),
                ("s3://bucket:80/x", "names no bucket", "s3://bucket/prefix"),
                ("gs://bucket", "LAKE='gs://bucket' has an unknown scheme", "s3://bucket/prefix"),
                ("https://example.org/x", "has an unknown scheme", "s3://bucket/prefix"),
                (file.name, f"LAKE='{file.name}' is a file", "s3://bucket/prefix"),
                (f"file://{file.name}", "is a file", "s3://bucket/prefix"),
            ]:
                with self.subTest(url):
                    with self.assertRaises(ConfigError) as caught:
                        open_store(url, named="LAKE")
                    self.assertIn(told, str(caught.exception))
                    self.assertNotIn("secret", str(caught.exception))
                    self.assertIn(advice, caught.exception.advice)


class Overlap(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.folder / "lake/raw").mkdir(parents=True)
        (self.folder / "linked").symlink_to(self.folder / "lake")
        (self.folder / "link-into").symlink_to(self.folder / "lake/raw")

    def overlaps(self, one, other):
        stores = [open_store(url) for url in (one, other)]
        for store in stores:
            self.addCleanup(store.close)
        self.assertEqual(overlap(*stores), overlap(*stores[::-1]))
        return overlap(*stores)

    def test_is_found_whatever_the_address(self):
        lake = f"{self.folder}/lake"
        for one, other, expected in [
            (lake, lake, True),
            (lake, f"{lake}/", True),
            (lake, f"{self.folder}/other/../lake", True),
            (lake, f"file://{lake}", True),
            (lake, f"{self.folder}/linked", True),
            (lake, f"{self.folder}/linked/new/deeper", True),
            (lake, f"{self.folder}/link-into", True),
            (lake, f"{lake}/raw", True),
            (lake, str(self.folder), True),
            (lake, f"{lake}2", False),
            (lake, f"{self.folder}/new", False),
            (lake, "s3://bucket", False),
            ("s3://bucket", "s3://bucket/", True),
            ("s3://bucket/a", "s3://bucket/a/", True),
            ("s3://bucket", "s3://bucket/a", True),
            ("s3://bucket/a", "s3://bucket/ab", False),
            ("s3://bucket", "s3://bucket2", False),
            ("s3://bucket/a", "s3://bucket/b", False),
        ]:
            with self.subTest(one=one, other=other):
                self.assertIs(self.overlaps(one, other), expected)
