"""Builds in a Glue database, of moto: which files a partition names, and when it changes."""

import itertools
from pathlib import Path
from typing import Any, ClassVar

import boto3
import duckdb

from data_pipeline.jobs import _tables as tables
from data_pipeline.lakehouse import builds, gc
from data_pipeline.lakehouse.catalogue import Publication
from data_pipeline.lakehouse.columns import columns_of
from etl_core.aws import GlueDatabase
from etl_core.errors import PipelineError
from etl_core.lake.s3 import S3Store
from packages.data_pipeline.tests.unit.jobs.tables_case import TablesCase
from packages.etl_core.tests.support.strict_s3 import StrictS3

NUMBERS = itertools.count()
SCOPE = "dataset=general-payments/year=2024"
QUERIES = Path(__file__).resolve().parents[5] / "terraform" / "modules" / "catalogue" / "queries"
# As the module catalogue declares them, and the two that are folders of the lake.
MANIFEST = {
    "dataset": "VARCHAR", "year": "INTEGER", "amounts": "MAP(VARCHAR, VARCHAR)", "build": "VARCHAR",
    "number": "INTEGER", "release": "VARCHAR", "rows": "BIGINT", "run_id": "VARCHAR",
}  # fmt: skip
SESSION = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")


class PublishCatalogue(TablesCase):
    """The builds are of a lake in a folder; their lists go to a bucket, as if the lake were there."""

    server: ClassVar[StrictS3]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.server = cls.enterClassContext(StrictS3())

    def setUp(self) -> None:
        super().setUp()
        name = f"lake-{next(NUMBERS)}"
        s3: Any = SESSION.client("s3", endpoint_url=self.server.url)
        self.glue: Any = SESSION.client("glue", endpoint_url=self.server.url)
        for client in (s3, self.glue):
            self.addCleanup(client.close)
        s3.create_bucket(Bucket=name)
        self.database = GlueDatabase(self.glue, name.replace("-", "_"))
        self.glue.create_database(DatabaseInput={"Name": self.database.name})
        self.in_s3 = S3Store(s3, bucket=name)

    def publication(self, run_id: str) -> Publication:
        for job in ("stage", "build_curated"):
            status, _, err = self.run_job(job, "--run-id", run_id)
            self.assertEqual(status, 0, err)
        build: Any = builds.current_build(self.store, SCOPE)
        columns = columns_of({one.dataset: one for one in tables.sources_of_marts()}, self.folder)
        return Publication(build, self.in_s3, self.database, columns[build.dataset])

    def partition(self, table: str) -> Any:
        found = self.glue.get_partitions(DatabaseName=self.database.name, TableName=table)["Partitions"]
        self.assertEqual(len(found), 1)
        return found[0]

    def test_a_partition_names_the_files_of_the_manifest_and_their_columns(self):
        publication = self.publication("first")
        publication.run()

        build = publication.build
        for name, files in build.tables.items():
            with self.subTest(name):
                found = self.partition(name)
                self.assertEqual(found["Values"], ["general-payments", "2024"])
                self.assertEqual(found["Parameters"]["rows"], str(sum(one.rows for one in files)))
                place = found["StorageDescriptor"]["Location"].removeprefix(f"{self.in_s3.url}/")
                (listed,) = self.in_s3.list(place)
                text = b"".join(self.in_s3.read(listed.key)).decode()
                self.assertEqual(text.splitlines(), [self.in_s3.uri(one.key) for one in files])
                theirs = duckdb.sql(
                    f"DESCRIBE FROM read_parquet('{self.lake / files[0].key}', hive_partitioning=false)"
                )
                self.assertEqual(
                    [one["Name"] for one in found["StorageDescriptor"]["Columns"]],
                    [row[0] for row in theirs.fetchall()],
                )
        kinds = {one["Name"]: one["Type"] for one in self.partition("general_payments")["StorageDescriptor"]["Columns"]}
        self.assertEqual(kinds["total_amount_of_payment_usdollars"], "decimal(18,2)")
        self.assertEqual((kinds["date_of_payment"], kinds["record_id"]), ("date", "string"))

    def test_the_same_build_changes_nothing_and_a_newer_one_replaces_the_partition(self):
        first = self.publication("first")
        self.assertFalse(first.is_published())
        first.run()
        self.assertTrue(first.is_published())
        versions = self.glue.get_table_versions(DatabaseName=self.database.name, TableName="companies")["TableVersions"]

        first.run()
        self.assertEqual(
            len(self.glue.get_table_versions(DatabaseName=self.database.name, TableName="companies")["TableVersions"]),
            len(versions),
        )
        second = self.publication("second")
        self.assertFalse(second.is_published())
        second.run()
        self.assertEqual(self.partition("general_payments")["Parameters"]["build"], second.build.build)
        self.assertTrue(second.is_published())

    def test_the_saved_queries_give_the_sums_of_the_manifest(self):
        """In DuckDB, which has the functions of Athena that they use."""
        build = self.publication("first").build
        amount = build.amounts["total_amount_of_payment_usdollars"]
        with duckdb.connect() as database:
            for name in ("general_payments", "companies"):
                files = [str(self.lake / one.key) for one in build.tables[name]]
                read = f"read_parquet({files}, hive_partitioning=false, filename='$path')"
                database.execute(
                    f"CREATE VIEW {name} AS SELECT *, '{build.dataset}' AS dataset, 2024 AS year FROM {read}"
                )
            for name, column in (("research", "total_amount_of_payment_usdollars"), ("ownership", "value_of_interest")):
                empty = f"NULL::VARCHAR AS dataset, NULL::INTEGER AS year, '' AS \"$path\", 0.00 AS {column}"
                database.execute(f"CREATE VIEW {name}_payments AS SELECT {empty} WHERE false")
            manifests = f"read_json('{self.lake}/metadata/curated/*/*/*.json', columns={MANIFEST})"
            database.execute(f"CREATE VIEW curated_manifests AS FROM {manifests}")
            answers = {
                name: database.execute((QUERIES / f"{name}.sql").read_text(encoding="utf-8")).fetchall()
                for name in ("curated_against_manifest", "top_companies", "payments_by_month")
            }

        expected = (build.dataset, 2024, build.rows, build.rows, amount, amount, "equal")
        self.assertEqual(answers["curated_against_manifest"], [expected])
        self.assertEqual(sum(row[2] for row in answers["top_companies"]), amount)
        self.assertEqual(sum(row[2] for row in answers["payments_by_month"]), amount)

    def test_gc_leaves_the_lists_alone(self):
        publication = self.publication("first")
        publication.run()
        late = publication.build.created_at.replace(year=2100)

        found = gc.sort_builds(self.in_s3, 1, late)
        loose = [*gc.loose_files(self.in_s3, found, late), *gc.loose_staged(self.in_s3, lambda *_: False, late)]

        self.assertEqual(loose, [])
        self.assertTrue(list(self.in_s3.list("metadata/catalogue/")))

    def test_a_database_that_is_not_there_is_named(self):
        publication = self.publication("first")
        elsewhere = GlueDatabase(self.glue, "elsewhere")

        with self.assertRaisesRegex(PipelineError, "write a table of the Glue database elsewhere"):
            Publication(publication.build, self.in_s3, elsewhere, publication.columns).run()
