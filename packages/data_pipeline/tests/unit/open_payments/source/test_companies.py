from data_pipeline.open_payments.source.companies import must_be_listed, similar
from etl_core.errors import NotFoundError, UnavailableError
from packages.data_pipeline.tests.unit.fakes import COMPANY, NEVER, OTHER, WorldCase, says


class MustBeListed(WorldCase):
    def test_a_listed_company_needs_no_rows(self):
        self.site.list_companies([COMPANY, OTHER])
        must_be_listed(self.world.source, [COMPANY, OTHER])
        self.assertEqual(self.site.kinds(), ["rows"])

    def test_nobody_is_asked_where_all_have_rows(self):
        must_be_listed(self.world.source, [])
        self.assertEqual(self.site.kinds(), [])

    def test_a_company_that_is_not_listed_is_refused_with_similar_ids_and_names(self):
        self.site.list_companies([COMPANY, OTHER])
        with self.assertRaisesRegex(
            NotFoundError, f"there is no company 999: .*Similar ids: {COMPANY} .Maker {COMPANY}., {OTHER} "
        ):
            must_be_listed(self.world.source, [OTHER, "999"])

    def test_a_list_without_companies_offers_none(self):
        self.site.list_companies([])
        with self.assertRaisesRegex(NotFoundError, "CMS lists no companies at the moment"):
            must_be_listed(self.world.source, ["999"])

    def test_a_list_that_does_not_answer_decides_nothing(self):
        self.site.list_companies([COMPANY])
        self.site.fault("rows", says(500), NEVER)
        with self.assertRaises(UnavailableError):
            must_be_listed(self.world.source, [COMPANY])

    def test_similar_ids_end_alike_or_share_most_digits_and_are_printable(self):
        names = {"100000000999": "Nine", "99": "Two", "100000000053": "B\x1b[2J", "7": "", "8": "", "6": ""}
        self.assertEqual(similar("999", names)[:2], ["100000000999 (Nine)", "99 (Two)"])
        self.assertEqual(similar("100000000054", names)[0], "100000000053 (B·[2J)")
        self.assertEqual(len(similar("1", names)), 5)
