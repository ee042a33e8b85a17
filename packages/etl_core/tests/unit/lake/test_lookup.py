import unittest

from etl_core.errors import AccessError
from etl_core.lake.lookup import LEAST_LISTED, Lookup
from etl_core.testing import MemoryStore


class AskedStore(MemoryStore):
    """Counts what it is asked; listing is a right, and tells how far it went."""

    def __init__(self, *, may_list: bool = True) -> None:
        super().__init__()
        self.may_list = may_list
        self.named = 0
        self.prefixes: list[str] = []
        self.heads: list[str] = []

    def list(self, prefix):
        self.prefixes.append(prefix)
        if not self.may_list:
            raise AccessError("AccessDenied")
        for one in super().list(prefix):
            self.named += 1
            yield one

    def head(self, key):
        self.heads.append(key)
        return super().head(key)


class ALookup(unittest.TestCase):
    def test_finds_by_one_listing_of_what_the_keys_have_in_common(self):
        store = AskedStore()
        for key in ("a/1", "a/2", "a/3", "b/1"):
            store.put(key, b"x")
        found = Lookup.of(store, ["a/3", "a/1", "a/missing"])

        self.assertEqual([found.find(key) is not None for key in ("a/1", "a/3", "a/missing")], [True, True, False])
        self.assertEqual((store.prefixes, store.heads, found.may_list), (["a/"], [], True))

    def test_asks_for_the_rest_one_by_one_where_a_listing_names_too_much_else(self):
        store = AskedStore()
        for number in range(3 * LEAST_LISTED):
            store.put(f"a/{number:05}", b"x")
        keys = "a/00001", "a/02500", "a/99999"
        found = Lookup.of(store, keys)

        self.assertEqual([found.find(key) is not None for key in keys], [True, True, False])
        self.assertEqual(store.heads, ["a/02500", "a/99999"])
        self.assertLessEqual(store.named, LEAST_LISTED + 1)

    def test_asks_one_by_one_where_the_store_may_not_be_listed(self):
        store = AskedStore(may_list=False)
        store.put("a/1", b"x")
        found = Lookup.of(store, ["a/1", "a/2"])

        self.assertEqual([found.find(key) is not None for key in ("a/1", "a/2")], [True, False])
        self.assertEqual((store.heads, found.may_list), (["a/1", "a/2"], False))

    def test_of_nothing_asks_nothing(self):
        store = AskedStore()
        Lookup.of(store, [])
        self.assertEqual(store.prefixes, [])
