import unittest
from datetime import UTC, datetime
from itertools import pairwise

from etl_core.errors import ChangedError, NotFoundError
from etl_core.lake import ObjectInfo, compared, copy_new
from etl_core.lake.s3_copy import LARGEST_IN_ONE, MIB, MOST_PARTS, PART_BYTES, ranges
from etl_core.testing import MemoryStore

NOW = datetime(2026, 11, 29, tzinfo=UTC)
MD5, OTHER_MD5 = f'"{"a" * 32}"', f'"{"b" * 32}"'


def an_object(size: int = 7, etag: str = "", digest: str = "") -> ObjectInfo:
    return ObjectInfo("k", size, NOW, etag, digest)


class Compared(unittest.TestCase):
    def test_says_what_size_digest_and_etag_prove(self):
        for one, other, expected in (
            (an_object(7), an_object(8), "other"),
            (an_object(7, MD5, "crc64nvme:a"), an_object(8, MD5, "crc64nvme:a"), "other"),
            (an_object(), an_object(), "size"),
            (an_object(etag=MD5), an_object(etag=MD5), "content"),
            (an_object(etag=MD5), an_object(etag=OTHER_MD5), "size"),
            (an_object(etag=f'"{"a" * 32}-3"'), an_object(etag=f'"{"a" * 32}-3"'), "size"),
            (an_object(digest="crc64nvme:a"), an_object(digest="crc64nvme:a"), "content"),
            (an_object(etag=MD5, digest="crc64nvme:a"), an_object(etag=MD5, digest="crc64nvme:b"), "other"),
            (an_object(digest="sha256:a"), an_object(digest="crc64nvme:a"), "size"),
            (an_object(digest="sha256:a"), an_object(), "size"),
        ):
            with self.subTest(one=one, other=other):
                self.assertEqual((compared(one, other), compared(other, one)), (expected, expected))


class Ranges(unittest.TestCase):
    def test_of_an_object_cover_it_once_within_the_limits_of_s3(self):
        for size in (1, PART_BYTES, PART_BYTES + 1, LARGEST_IN_ONE + 1, 5 * 10**12, 50 * 10**12):
            with self.subTest(size=size):
                found = [tuple(map(int, one.removeprefix("bytes=").split("-"))) for one in ranges(size, PART_BYTES)]
                self.assertEqual((found[0][0], found[-1][1]), (0, size - 1))
                self.assertTrue(all(one[1] + 1 == other[0] for one, other in pairwise(found)))
                self.assertLessEqual(len(found), MOST_PARTS)
                sizes = [end - start + 1 for start, end in found]
                self.assertLessEqual(max(sizes), LARGEST_IN_ONE)
                self.assertTrue(all(one >= 5 * MIB for one in sizes[:-1]))


class ChangingStore(MemoryStore):
    """Its object is replaced while it is read."""

    def read(self, key):
        yield from super().read(key)
        self.put(key, b"replaced")


class CopyNew(unittest.TestCase):
    def setUp(self) -> None:
        self.source, self.target = MemoryStore(name="source"), MemoryStore(name="target")
        self.source.put("a", b"content")
        self.addCleanup(self.target.close)

    def found(self, store: MemoryStore, key: str = "a") -> ObjectInfo:
        found = store.head(key)
        assert found is not None
        return found

    def test_writes_the_content_under_another_key_and_gives_its_digest(self):
        made = copy_new(self.source, self.found(self.source), self.target, "b/c")

        self.assertEqual(self.target.get("b/c"), b"content")
        self.assertTrue(made.created)
        self.assertEqual((made.copy.key, made.copy.size), ("b/c", 7))
        self.assertEqual(compared(made.source, made.copy), "content")

    def test_keeps_what_is_there_and_says_whether_it_is_the_same(self):
        for there, expected in ((b"content", "content"), (b"CONTENT", "other"), (b"longer content", "other")):
            with self.subTest(there=there):
                target = MemoryStore()
                self.addCleanup(target.close)
                target.put("b", there)
                made = copy_new(self.source, self.found(self.source), target, "b")
                self.assertFalse(made.created)
                self.assertEqual(compared(made.source, made.copy), expected)
                self.assertEqual(target.get("b"), there)

    def test_of_a_source_that_changes_meanwhile_writes_nothing(self):
        source = ChangingStore()
        source.put("a", b"content")
        with self.assertRaisesRegex(ChangedError, "a changed while it was copied"):
            copy_new(source, self.found(source), self.target, "b")
        self.assertIsNone(self.target.head("b"))

    def test_of_a_source_that_is_gone_writes_nothing(self):
        found = self.found(self.source)
        self.source.delete("a")
        with self.assertRaises(NotFoundError):
            copy_new(self.source, found, self.target, "b")
        self.assertEqual(list(self.target.list("")), [])
