from data_pipeline.runs import listing, plans, pointers
from etl_core.errors import NotFoundError
from packages.data_pipeline.tests.unit.runs.pages import LakeCase, PagesPlan, a_plan, commit_pages


class OthersPlan(PagesPlan):
    domain = "others"


class Runs(LakeCase):
    def setUp(self):
        super().setUp()
        commit_pages(self.store, plans.write_plan(self.store, a_plan("a")), [])
        other = OthersPlan.model_validate(a_plan("b", minutes=5, at_most=7).model_dump(exclude={"schema_version"}))
        plans.write_plan(self.store, other)

    def test_of_all_domains_come_newest_first_with_how_they_ended(self):
        found = [(one.run_id, one.status) for one in listing.listed(self.store, ["", "others"])]

        self.assertEqual(found, [("b", "open"), ("a", "partial")])
        self.assertEqual([one.run_id for one in listing.listed(self.store, [""])], ["a"])

    def test_whose_plan_is_missing_or_damaged_hide_no_other(self):
        pointers.write(self.store, pointers.of_plan(a_plan("never", minutes=9)))
        for damage in (b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"selection": []}'):
            self.store.put("metadata/runs/run_id=b/plan.json", damage)
            with self.subTest(damage):
                self.assertEqual([one.run_id for one in listing.listed(self.store, ["", "others"])], ["a"])
                self.assertEqual(listing.newest(self.store, ["", "others"]), "a")

    def test_must_be_there_where_one_is_wanted(self):
        with self.assertRaises(NotFoundError):
            listing.newest(self.store, ["nobody"])
        with self.assertRaises(NotFoundError):
            listing.listed_run(self.store, "r9")
