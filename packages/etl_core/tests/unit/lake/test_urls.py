import tempfile
import unittest
from pathlib import Path

from etl_core.errors import ConfigError
from etl_core.lake import open_store
from etl_core.lake.directory import DirectoryStore
from etl_core.lake.s3 import S3Store


class OpeningALake(unittest.TestCase):
    def opened(self, url):
        store = open_store(url)
        self.addCleanup(store.close)
        return store

    def test_a_folder_may_be_written_in_several_ways(self):
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

    def test_opening_makes_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            store = self.opened(f"{folder}/lake")
            self.assertEqual(list(store.list("")), [])
            self.assertIsNone(store.get("a"))
            store.close()
            self.assertEqual(list(Path(folder).iterdir()), [])

    def test_a_bucket_may_have_a_prefix(self):
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

    def test_what_names_no_lake_is_told_with_what_to_write(self):
        with tempfile.NamedTemporaryFile() as file:
            for url, told, advice in [
                ("", "LAKE_URL is empty", "Give a folder, file:///… or s3://bucket/prefix."),
                ("  ", "LAKE_URL is empty", "Give a folder"),
                ("file://data/lake", "'file://data/lake' names a host", "file:///path (three slashes)"),
                ("s3://", "'s3://' names no bucket", "s3://bucket/prefix"),
                ("s3:///prefix", "names no bucket", "s3://bucket/prefix"),
                ("s3://A_B/x", "names no bucket", "s3://bucket/prefix"),
                ("s3://ab/x", "names no bucket", "s3://bucket/prefix"),
                ("s3://-abc/x", "names no bucket", "s3://bucket/prefix"),
                ("s3://user@bucket/x", "names no bucket", "s3://bucket/prefix"),
                ("s3://bucket:80/x", "names no bucket", "s3://bucket/prefix"),
                ("gs://bucket", "a lake of kind 'gs' is not known", "s3://bucket/prefix"),
                ("https://example.org/x", "a lake of kind 'https' is not known", "s3://bucket/prefix"),
                (file.name, f"the lake {file.name} is a file", "LAKE_URL must name a folder."),
                (f"file://{file.name}", "is a file", "LAKE_URL must name a folder."),
            ]:
                with self.subTest(url):
                    with self.assertRaises(ConfigError) as caught:
                        open_store(url)
                    self.assertIn(told, str(caught.exception))
                    self.assertIn(advice, caught.exception.advice)
