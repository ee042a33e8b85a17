import unittest

from data_pipeline.lakehouse.spark_files import escaped, plain


class Paths(unittest.TestCase):
    def test_are_addresses_that_are_not_encoded(self):
        for uri, path in (
            ("file:///it%27s%20%255B/a%3D1.csv", "file:/it's %5B/a=1.csv"),
            ("s3://bucket/a=1/b%20c.csv", "s3://bucket/a=1/b%20c.csv"),
        ):
            with self.subTest(uri):
                self.assertEqual(plain(uri), path)

    def test_are_no_patterns(self):
        self.assertEqual(escaped("file:/a[1]*{b}?"), r"file:/a\[1\]\*\{b\}\?")
