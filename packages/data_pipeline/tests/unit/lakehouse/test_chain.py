import unittest
from collections.abc import Iterator
from typing import Any, cast

from data_pipeline.lakehouse.chain import MOST_ATTEMPTS, Chain
from data_pipeline.lakehouse.documents import NumberedManifest
from etl_core.errors import UnavailableError
from etl_core.lake import ObjectInfo, ObjectStore
from etl_core.testing import MemoryStore


def is_another(build: str) -> Any:
    return lambda current: current is None or current.build != build


class StaleStore:
    """A store whose listings are ``behind`` many objects too short, as of a writer that others overtake."""

    def __init__(self, store: ObjectStore, listings: int) -> None:
        self._store = store
        self._listings = listings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._listings -= 1
        return iter(()) if self._listings >= 0 else self._store.list(prefix)


class Numbers(unittest.TestCase):
    def setUp(self) -> None:
        self.store = MemoryStore()
        self.addCleanup(self.store.close)
        self.chain = Chain(self.store, NumberedManifest, "metadata/things/")

    def commit(self, build: str, store: Any = None) -> NumberedManifest:
        chain = Chain(cast("ObjectStore", store or self.store), NumberedManifest, self.chain.prefix)
        return chain.commit(NumberedManifest(build=build), replaces=is_another(build))

    def test_the_highest_number_is_what_readers_see(self):
        self.assertIsNone(self.chain.current())
        made = [self.commit(build) for build in ("a", "b", "b", "a")]

        self.assertEqual([(one.number, one.parent, one.build) for one in made], [
            (1, None, "a"), (2, 1, "b"), (2, 1, "b"), (3, 2, "a"),
        ])  # fmt: skip
        self.assertEqual(self.chain.current(), made[-1])
        self.assertEqual([one.key for one in self.chain.entries()], [
            f"metadata/things/{number:08d}.json" for number in (1, 2, 3)
        ])  # fmt: skip

    def test_other_objects_below_the_prefix_are_no_part_of_the_chain(self):
        self.commit("a")
        for key in ("metadata/things/00000007.json.bak", "metadata/things/deeper/00000009.json"):
            self.store.put(key, b"x")

        self.assertEqual(self.commit("b").number, 2)

    def test_who_comes_second_takes_the_next_number(self):
        self.commit("a")

        self.assertEqual(self.commit("b", StaleStore(self.store, 1)).number, 2)

    def test_who_is_overtaken_all_the_while_gives_up(self):
        self.commit("a")

        with self.assertRaisesRegex(UnavailableError, "below metadata/things/ meanwhile"):
            self.commit("b", StaleStore(self.store, MOST_ATTEMPTS))
