"""Redshift as a warehouse: it reads the build's files itself, with the role of its namespace.

Statements go over the data API, because a workgroup is reached from inside its VPC only, and would want a password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.warehouse import defined, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from data_pipeline.lakehouse.warehouse import Filled, Kind
    from etl_core.aws import RedshiftStatements
    from etl_core.lake import ObjectStore


class RedshiftWarehouse:
    """Each call is one transaction."""

    kind: Kind = "redshift"
    # VARCHAR alone is 256 bytes there.
    text = "VARCHAR(65535)"

    def __init__(self, statements: RedshiftStatements, store: ObjectStore) -> None:
        self._statements, self._store = statements, store

    def run(self, statements: Sequence[str]) -> None:
        """As ``RedshiftStatements.run``."""
        self._statements.run(statements)

    def rows(self, statement: str) -> list[Sequence[Any]]:
        """As ``RedshiftStatements.rows``."""
        return self._statements.rows(statement)

    def fill(self, tables: Mapping[str, Filled]) -> Iterator[int]:
        """A step is a table. Each file is copied by its whole name, which ends in its hash: no other begins with it."""
        for name, one in tables.items():
            copies = [
                f"COPY {name} FROM {sql.literal(plain(self._store.uri(file.key)))} IAM_ROLE default FORMAT AS PARQUET"
                for file in one.files
            ]
            self.run([f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} ({defined(one.columns, self)})", *copies])
            yield sum(file.rows for file in one.files)
