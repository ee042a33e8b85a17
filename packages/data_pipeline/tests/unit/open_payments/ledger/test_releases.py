from data_pipeline.open_payments.ledger import releases
from etl_core.errors import DataError
from packages.data_pipeline.tests.unit.fakes import WorldCase, a_release


class Releases(WorldCase):
    """A release is (dataset, year, distribution); a lake names it once."""

    def test_a_release_keeps_the_name_that_it_was_given_first(self):
        first, later = a_release(), a_release(modified="2026-07-14", dataset_id="other")
        self.assertEqual(releases.as_named(self.store, first), first)
        self.assertEqual(self.store.writes, [], "looking names nothing")

        self.assertEqual(releases.name(self.store, first), first)

        self.assertEqual(releases.name(self.store, later), first)
        self.assertEqual(releases.as_named(self.store, later), first)
        self.assertEqual(len(self.store.writes), 1)

    def test_another_distribution_dataset_or_year_is_another_release(self):
        releases.name(self.store, a_release())
        for changes in (
            {"distribution_id": "9323b84e-0000-5f6b-a501-b76926c7c035"},
            {"dataset": "research-payments"},
            {"year": 2023},
        ):
            with self.subTest(changes=changes):
                other = a_release(modified="2027-01-23", **changes)
                self.assertEqual(releases.name(self.store, other), other)

    def test_a_damaged_name_is_named_by_its_key(self):
        self.store.put(releases.key_of(a_release()), b"{}")
        with self.assertRaisesRegex(DataError, "distribution_id=9323b84e-.*json is no NamedRelease"):
            releases.as_named(self.store, a_release())
