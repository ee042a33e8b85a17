from typing import Any

from data_pipeline.runs import listing, plans, pointers
from etl_core.errors import ConflictError, NotFoundError
from packages.data_pipeline.tests.unit.runs.pages import (
    LakeCase,
    PagesPlan,
    a_plan,
    commit_pages,
)

LIST = "metadata/runs/run_id=r1/file_audits.jsonl"


class Plans(LakeCase):
    def newest(self, edition: str = "only", **sweep: Any) -> str | None:
        found = plans.newest_plan(PagesPlan, self.store, a_plan(**sweep).selection, edition)
        return found.run_id if found else None

    def test_come_after_their_pointers(self):
        plans.write_plan(self.store, a_plan())

        self.assertEqual(self.store.writes, [*pointers.of_plan(a_plan()), "metadata/runs/run_id=r1/plan.json"])

    def test_of_other_selections_take_the_next_name(self):
        names = [plans.write_plan(self.store, a_plan(at_most=number)).run_id for number in (1, 2, 3)]

        self.assertEqual(names, ["r1", "r1-2", "r1-3"])

    def test_of_the_same_selection_are_joined_until_it_is_committed(self):
        first = plans.write_plan(self.store, a_plan(pages=2))

        self.assertEqual(plans.write_plan(self.store, a_plan(pages=5, minutes=1)), first)
        commit_pages(self.store, first, [])
        self.assertEqual(plans.write_plan(self.store, a_plan(pages=5, minutes=2)).run_id, "r1-2")

    def test_are_found_by_their_selection_the_newest_first(self):
        self.assertIsNone(self.newest())
        for number, run_id in enumerate(("z", "a", "m")):
            plans.write_plan(self.store, a_plan(run_id, minutes=number))
        plans.write_plan(self.store, a_plan("other", minutes=9, at_most=1))

        self.assertEqual((self.newest(), self.newest(at_most=1), self.newest(at_most=2)), ("m", "other", None))
        self.assertEqual(listing.newest(self.store, [""]), "other")

    def test_are_found_by_one_listing_and_one_read_however_many_there_are(self):
        for number in range(50):
            plans.write_plan(self.store, a_plan(f"r{number}", minutes=number, at_most=number % 2))
        self.store.requests.clear()

        self.assertEqual(self.newest(at_most=1), "r49")
        self.assertEqual([one.split(" ")[0] for one in self.store.requests], ["list", "get"])

    def test_that_were_never_written_leave_pointers_that_hurt_nobody(self):
        """The process was killed between the two writes."""
        plans.write_plan(self.store, a_plan("r1"))
        pointers.write(self.store, pointers.of_plan(a_plan("r2", minutes=5)))

        self.assertEqual((self.newest(), listing.newest(self.store, [""])), ("r1", "r1"))

    def test_of_another_selection_under_a_pointer_are_not_taken(self):
        plans.write_plan(self.store, a_plan("r1"))
        plans.write_plan(self.store, a_plan("r1", minutes=5, at_most=7))

        self.assertEqual((self.newest(), self.newest(at_most=7)), ("r1", "r1-2"))

    def test_are_found_where_files_that_are_no_pointers_lie_among_them(self):
        plans.write_plan(self.store, a_plan("r1"))
        folder = pointers.of_plan(a_plan())[0].rpartition("/")[0]
        self.store.put(f"{folder}/notes.txt", b"")
        self.store.put(f"{folder}/000000000000000000_copy of r1", b"")
        self.store.put(f"{folder}/999999999999999999_r1", b"")

        self.assertEqual(self.newest(), "r1")

    def test_of_all_runs_are_found_in_one_listing_with_what_is_committed(self):
        commit_pages(self.store, plans.write_plan(self.store, a_plan("a", at_most=1)), [])
        plans.write_plan(self.store, a_plan("a-2"))
        for name in ("a/notes.txt", "a/failures/page=1/attempt-0.json", "copy of a/plan.json"):
            self.store.put(f"metadata/runs/run_id={name}", b"")
        self.store.requests.clear()

        self.assertEqual(dict(plans.all_runs(self.store)), {"a": True, "a-2": False})
        self.assertEqual(self.store.requests, ["list metadata/runs/"])

    def test_of_one_domain_are_not_seen_by_another(self):
        class OthersPlan(PagesPlan):
            domain = "others"

        plans.write_plan(self.store, a_plan("a"))
        other = OthersPlan.model_validate(a_plan("b", minutes=5, at_most=7).model_dump(exclude={"schema_version"}))
        plans.write_plan(self.store, other)

        self.assertEqual(listing.newest(self.store, [""]), "a")
        self.assertEqual(listing.newest(self.store, ["others"]), "b")
        self.assertEqual([one.run_id for one in listing.listed(self.store, ["", "others"])], ["b", "a"])
        self.assertEqual(dict(plans.all_runs(self.store)), {"a": False})
        self.assertEqual(dict(plans.all_runs(self.store, "others")), {"b": False})
        self.assertEqual([plans.domain_of(self.store, one) for one in ("a", "b", "c")], ["", "others", ""])

    def test_must_be_there_where_a_run_is_named(self):
        with self.assertRaisesRegex(NotFoundError, "memory:// has no run r9"):
            plans.require_plan(PagesPlan, self.store, "r9")
        with self.assertRaisesRegex(NotFoundError, "memory:// has no run yet"):
            listing.newest(self.store, [""])

    def test_run_out_of_names_after_a_thousand(self):
        for name in plans.names_of("r1"):
            self.store.put(f"metadata/runs/run_id={name}/plan.json", a_plan(at_most=1).to_bytes())

        with self.assertRaisesRegex(ConflictError, "1000 runs are named r1. Choose another --run-id"):
            plans.write_plan(self.store, a_plan())
