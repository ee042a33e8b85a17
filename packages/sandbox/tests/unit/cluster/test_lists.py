"""Label selectors and pages."""

from __future__ import annotations

from unittest import TestCase

from sandbox.cluster.lists import Pages, parse_selector
from sandbox.cluster.problems import Problem
from sandbox.cluster.resources import CONFIG_MAPS
from sandbox.cluster.store import Store, Thing


class SelectorTest(TestCase):
    def test_equal_labels_are_told_apart_because_they_have_an_index(self):
        equal, tests = parse_selector("a=1, b == 2,c!=3,d in (4, 5),!e")
        self.assertEqual(equal, [("a", "1"), ("b", "2")])
        self.assertTrue(all(test({"d": "4"}) for test in tests))
        for labels in ({"d": "4", "c": "3"}, {"d": "6"}, {"d": "5", "e": ""}):
            with self.subTest(labels=labels):
                self.assertFalse(all(test(labels) for test in tests))

    def test_what_is_no_selector_is_refused(self):
        for text in ("a in 1", "=1", "a=b=c", "a > 1"):
            with self.subTest(text=text), self.assertRaises(Problem) as caught:
                parse_selector(text)
            self.assertEqual(caught.exception.code, 400)


def store_of(count):
    store = Store(1)
    for number in range(count):
        meta = {"name": f"c{number:03}", "namespace": "etl", "labels": {"half": str(number % 2)}}
        store.add(Thing(CONFIG_MAPS, {"metadata": meta}))
    return store


class StoreTest(TestCase):
    def test_objects_are_found_in_order_by_namespace_and_label(self):
        store = store_of(6)
        names = [thing.name for thing in store.find(CONFIG_MAPS, "etl", [("half", "1")])]
        self.assertEqual(names, ["c001", "c003", "c005"])
        self.assertEqual(store.find(CONFIG_MAPS, "other"), [])
        self.assertEqual(store.find(CONFIG_MAPS, "", [("half", "2")]), [])

    def test_a_removed_object_is_not_found_by_its_labels(self):
        store = store_of(2)
        for thing in store.find(CONFIG_MAPS, ""):
            store.remove(thing)
        self.assertEqual(store.find(CONFIG_MAPS, "", [("half", "1")]), [])

    def test_every_change_has_a_revision_of_its_own(self):
        store = store_of(3)
        versions = [int(thing.meta["resourceVersion"]) for thing in store.find(CONFIG_MAPS, "")]
        store.touch(store.find(CONFIG_MAPS, "")[0])
        self.assertEqual(versions, sorted(set(versions)))
        self.assertGreater(int(store.find(CONFIG_MAPS, "")[0].meta["resourceVersion"]), versions[-1])


class PagesTest(TestCase):
    def test_a_page_tells_how_many_are_left(self):
        pages, store = Pages(300), store_of(5)
        items, meta = pages.first(store.find(CONFIG_MAPS, ""), 9, 2)
        self.assertEqual((len(items), meta["remainingItemCount"], meta["resourceVersion"]), (2, 3, "9"))
        items, meta = pages.further(meta["continue"], 2)
        items, meta = pages.further(meta["continue"], 2)
        self.assertEqual((len(items), meta), (1, {"resourceVersion": "9"}))

    def test_a_list_that_fits_needs_no_token(self):
        items, meta = Pages(300).first(store_of(5).find(CONFIG_MAPS, ""), 9, 5)
        self.assertEqual((len(items), meta), (5, {"resourceVersion": "9"}))

    def test_only_so_many_snapshots_are_kept(self):
        pages, things = Pages(300), store_of(3).find(CONFIG_MAPS, "")
        tokens = [pages.first(things, 9, 1)[1]["continue"] for _ in range(65)]
        pages.further(tokens[1], 1)
        with self.assertRaises(Problem) as caught:
            pages.further(tokens[0], 1)
        self.assertEqual(caught.exception.code, 410)
