"""A build as tables of a Glue database, for Athena and all that reads there: one partition per dataset and year.

A partition names a list of the build's files, not a folder, so queries read what the manifest names and nothing else.
The list is written first, then the partition, which replaces what was there in one call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data_pipeline.lake_layout import lakehouse as keys
from etl_core.aws import is_said
from etl_core.lake import put_or_agree
from etl_core.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from data_pipeline.lakehouse.columns import Columns
    from data_pipeline.lakehouse.documents import BuildManifest
    from etl_core.aws import GlueDatabase
    from etl_core.lake import ObjectStore

HIVE = "org.apache.hadoop.hive.ql.io"
KEYS = [{"Name": "dataset", "Type": "string"}, {"Name": "year", "Type": "int"}]
TYPES = {"VARCHAR": "string", "INTEGER": "int"}


@dataclass(frozen=True)
class Publication:
    """One build being published; ``columns`` are those of its tables."""

    build: BuildManifest
    store: ObjectStore
    database: GlueDatabase
    columns: Mapping[str, Columns]
    progress: Progress = field(default_factory=Progress)

    def is_published(self) -> bool:
        """Whether all tables show this build."""
        return all(is_said(self._said(name), self._shown(name)) for name in self.build.tables)

    def run(self) -> None:
        """Publish it; raises what Glue says otherwise."""
        tables = self.build.tables
        with self.progress.showing("publish", units=len(tables), unit_name="tables"):
            for name, files in tables.items():
                listed = "".join(f"{self.store.uri(one.key)}\n" for one in files)
                put_or_agree(self.store, f"{self._list(name)}/files.txt", listed.encode())
                self.database.put_table(self._table(name))
                self.database.put_partition(name, self._said(name))
                self.progress.advance(units=1)

    def _table(self, name: str) -> dict[str, Any]:
        return {
            "Name": name,
            "Description": "The newest published build of each dataset and year: rows are records",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
            "PartitionKeys": KEYS,
            "StorageDescriptor": self._storage(name, keys.CATALOGUE.rstrip("/")),
        }

    def _said(self, name: str) -> dict[str, Any]:
        build = self.build
        about = {one: str(getattr(build, one)) for one in ("build", "number", "release", "run_id", "closed")}
        return {
            "Values": [build.dataset, str(build.year)],
            "Parameters": {**about, "rows": str(sum(one.rows for one in build.tables[name]))},
            "StorageDescriptor": self._storage(name, self._list(name)),
        }

    def _storage(self, name: str, folder: str) -> dict[str, Any]:
        return {
            "Columns": list(self._columns(name)),
            "Location": f"{self.store.uri(folder)}/",
            "InputFormat": f"{HIVE}.SymlinkTextInputFormat",
            "OutputFormat": f"{HIVE}.HiveIgnoreKeyTextOutputFormat",
            "SerdeInfo": {"SerializationLibrary": f"{HIVE}.parquet.serde.ParquetHiveSerDe"},
        }

    def _columns(self, name: str) -> Iterator[dict[str, str]]:
        for column, kind in self.columns[name].items():
            yield {"Name": column, "Type": TYPES.get(kind, kind.lower())}

    def _list(self, name: str) -> str:
        return keys.published_files(self.build.scope, self.build.number, name)

    def _shown(self, name: str) -> object:
        return self.database.partition(name, [self.build.dataset, str(self.build.year)])
