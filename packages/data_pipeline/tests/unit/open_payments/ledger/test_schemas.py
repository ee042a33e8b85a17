import json
from typing import Any

from structlog.testing import capture_logs

from data_pipeline import lake_layout
from data_pipeline.open_payments.datasets import GENERAL
from data_pipeline.open_payments.ledger import schemas
from etl_core.errors import ConflictError, DataError
from packages.data_pipeline.tests.unit.fakes import (
    TITLES,
    WorldCase,
    a_release,
)

LATER = a_release(distribution_id="99999999-cda3-5f6b-a501-b76926c7c035", modified="2027-01-23")


class WriteSchema(WorldCase):
    def written(self, titles: tuple[str, ...]) -> tuple[Any, list[Any]]:
        table = self.site.publish(2024, titles=titles)
        resolved = self.world.resolved(table)
        with capture_logs() as logs:
            schemas.write_schema(self.store, resolved.release, resolved.table.columns)
        release = resolved.release
        raw = self.store.get(lake_layout.open_payments.schema(release.dataset, release.year, release.name)) or b""
        self.assertTrue(raw.endswith(b"}\n"))
        return json.loads(raw), logs

    def test_a_schema_keeps_the_columns_of_the_release(self):
        body, logs = self.written(GENERAL.header)

        self.assertEqual(body["schema_version"], 1)
        self.assertEqual(body["columns"], [{"title": title, "name": title.lower()} for title in GENERAL.header])
        self.assertEqual(body["release"]["distribution_id"], "00000001-cda3-5f6b-a501-b76926c7c035")
        self.assertEqual(logs, [])

    def test_a_schema_says_where_it_drifted_and_records_the_columns_alone(self):
        """S3.2. What counts as drift depends on the version that looks, so it is no part of the schema."""
        first, *rest = GENERAL.header
        body, logs = self.written((*rest[:-1], first, "Amount_in_Euro"))

        self.assertEqual(body.keys(), {"schema_version", "release", "columns"})
        self.assertEqual(
            [(one["log_level"], one["event"]) for one in logs], [("warning", "the columns are not those known")]
        )
        said = {"added": ("Amount_in_Euro",), "removed": ("Payment_Publication_Date",), "reordered": True}
        self.assertEqual({name: logs[0][name] for name in said}, said)

    def test_a_schema_may_be_repeated_and_never_replaced(self):
        resolved = self.world.resolved(self.site.publish(2024))
        schemas.write_schema(self.store, resolved.release, resolved.table.columns)
        schemas.write_schema(self.store, resolved.release, resolved.table.columns)
        self.assertEqual(len(self.store.writes), 1)

        self.site.tables[resolved.release.dataset_id].titles = (*TITLES, "Extra")
        changed = self.world.resolved(self.site.tables[resolved.release.dataset_id])
        with self.assertRaises(ConflictError):
            schemas.write_schema(self.store, changed.release, changed.table.columns)


class ReadSchema(WorldCase):
    def test_read_schema_gives_the_columns_that_were_written(self):
        resolved = self.world.resolved(self.site.publish(2024))
        schemas.write_schema(self.store, resolved.release, resolved.table.columns)

        self.assertEqual(schemas.read_schema(self.store, resolved.release), resolved.table.columns)

    def test_read_schema_refuses_what_it_cannot_read_or_prove_with(self):
        release = a_release()
        key = lake_layout.open_payments.schema(release.dataset, release.year, release.name)
        bodies: list[bytes | None] = [
            None,
            b"",
            b"[]",
            b"{}",
            b'{"columns": [{}]}',
            b'{"columns": 7}',
            b'{"columns": []}',
        ]
        for body in bodies:
            with self.subTest(body=body):
                self.store.delete(key)
                if body is not None:
                    self.store.put(key, body)
                with self.assertRaises(DataError):
                    schemas.read_schema(self.store, release)


class MustBeProvable(WorldCase):
    def test_must_be_provable_names_every_column_that_the_proof_lacks(self):
        day, key, payer = "Date_of_Payment", "Record_ID", "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"
        for missing in ([day], [key], [payer], [payer, day, key]):
            titles = tuple(title for title in TITLES if title not in missing)
            resolved = self.world.resolved(self.site.publish(2024, titles=titles))
            with self.subTest(missing=missing), self.assertRaises(DataError) as caught:
                schemas.must_be_provable(resolved.release, resolved.table.columns)
            self.assertIn(f"lacks {', '.join(missing)}, so nothing can be proved.", str(caught.exception))

    def test_must_be_provable_needs_no_more_than_those(self):
        kept = tuple(title for title in TITLES if title not in ("Change_Type", "Contextual_Information"))

        resolved = self.world.resolved(self.site.publish(2024, titles=kept))
        schemas.must_be_provable(resolved.release, resolved.table.columns)
