"""PostgreSQL, written to: everything in one transaction, which is committed at the end or leaves nothing.

Its address may hold a password. No error says the address, and none has the driver's own error behind it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg import conninfo

from etl_core.database import CONNECT_SECONDS, kind_of_error
from etl_core.errors import ConfigError
from etl_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType


class PostgreSql:
    """The database of an address, from ``with`` on; messages call the address ``named``: the setting it came from."""

    def __init__(self, url: str, *, named: str) -> None:
        self._named = named
        try:
            self._given = conninfo.conninfo_to_dict(url, connect_timeout=CONNECT_SECONDS)
        except psycopg.ProgrammingError:  # its text has parts of the address
            raise ConfigError(
                f"{named} is no address of a database.", advice="It is written postgresql://user:password@host/name."
            ) from None
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def __enter__(self) -> Self:
        """Begin the transaction; raises as ``run``."""
        with self._explained():
            self._connection = psycopg.connect(**self._given)  # type: ignore[arg-type] # of libpq's own
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connected, None
        with self._explained():
            connection.__exit__(kind, error, trace)

    def run(self, statements: Iterable[str]) -> None:
        """Run statements.

        Raises:
            ConfigError, AccessError, UnavailableError, DataError: as the SQLSTATE says.

        """
        with self._explained():
            for one in statements:
                self._connected.execute(one.encode())

    def rows(self, statement: str) -> list[Sequence[Any]]:
        """All rows of a query; raises as ``run``."""
        with self._explained():
            return list(self._connected.execute(statement.encode()).fetchall())

    def copy(self, statement: str, chunks: Iterable[bytes]) -> None:
        """Send what ``COPY … FROM STDIN`` reads, chunk by chunk; raises as ``run``, and what ``chunks`` raises."""
        with self._explained(), self._connected.cursor() as cursor, cursor.copy(statement.encode()) as copying:
            for one in chunks:
                copying.write(one)

    @property
    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None:
            raise RuntimeError("not open")
        return self._connection

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            kind = kind_of_error(error.sqlstate, str(error))
            # Without its details, which may hold values of a row.
            found = error.diag.message_primary or str(error)
        else:
            return
        if self._given.get("password"):
            found = found.replace(str(self._given["password"]), "…")
        raise kind(f"PostgreSQL says: {printable(found).rstrip('.')}.", advice=f"Check {self._named}.") from None
