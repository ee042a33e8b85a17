"""PostgreSQL as a warehouse: one transaction per load; rows go from Parquet to COPY as a stream of CSV."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.database import open_database
from data_pipeline.lakehouse.marts import fetched
from data_pipeline.lakehouse.warehouse import defined, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from data_pipeline.lakehouse.columns import Columns
    from data_pipeline.lakehouse.database import Limits
    from data_pipeline.lakehouse.documents import BuildFile
    from data_pipeline.lakehouse.warehouse import Filled, Kind
    from etl_core.lake import ObjectStore
    from etl_core.postgresql import PostgreSql

CHUNK = 1 << 20
# Loads into one database wait for each other until their transactions end.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('load_warehouse'))"


class PostgreSqlWarehouse:
    """An open transaction; files come from the lake one after the other, and their bytes are the manifest's."""

    kind: Kind = "postgresql"
    text = "TEXT"

    def __init__(
        self, database: PostgreSql, store: ObjectStore, limits: Limits, check_stop: Callable[[], None]
    ) -> None:
        self._database, self._store, self._limits, self._check_stop = database, store, limits, check_stop
        database.run([LOCK])

    def run(self, statements: Sequence[str]) -> None:
        """As ``PostgreSql.run``."""
        self._database.run(statements)

    def rows(self, statement: str) -> list[Sequence[Any]]:
        """As ``PostgreSql.rows``."""
        return self._database.rows(statement)

    def fill(self, tables: Mapping[str, Filled]) -> Iterator[int]:
        """A step is a file.

        Raises:
            DataError: a file is not the manifest's. AccessError: memory or disk does not suffice.

        """
        for name, one in tables.items():
            self.run([f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} ({defined(one.columns, self)})"])
            columns = ", ".join(sql.name(short(column)) for column in one.columns)
            for file in one.files:
                with tempfile.TemporaryDirectory(prefix="data-pipeline-load-") as folder:
                    chunks = self._csv(file, one.columns, Path(folder))
                    self._database.copy(f"COPY {name} ({columns}) FROM STDIN (FORMAT csv)", chunks)
                yield file.rows

    def _csv(self, file: BuildFile, columns: Columns, folder: Path) -> Iterator[bytes]:
        path = fetched(self._store, file, folder, advice="Delete it, and run build_curated of its year again.")
        select = f"SELECT {', '.join(map(sql.name, columns))} FROM {sql.read_parquet([str(path)])}"
        for chunk in csv_of(select, self._limits, folder):
            self._check_stop()
            yield chunk


def csv_of(select: str, limits: Limits, folder: Path) -> Iterator[bytes]:
    """The rows of a query as CSV without a header, through a pipe: NULL is nothing, an empty text is two quotes."""
    reading, writing = os.pipe()
    failed: list[Exception] = []

    def write() -> None:
        try:
            with open_database(limits, folder / "spill") as database:
                database.execute(
                    f"COPY ({select}) TO '/dev/fd/{writing}' (FORMAT csv, HEADER false, USE_TMP_FILE false)"
                )
        except Exception as error:  # noqa: BLE001 - raised where the pipe is read
            failed.append(error)
        finally:
            os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while chunk := os.read(reading, CHUNK):
            yield chunk
    finally:
        os.close(reading)
        thread.join()
    if failed:
        raise failed[0]
