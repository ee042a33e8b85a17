"""A database that is only read: PostgreSQL in a read-only transaction, SQLite in a file opened for reading.

Its address may hold a password. No error says the address, and none has the driver's own error behind it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import exc

from etl_core.errors import AccessError, ConfigError, DataError, PipelineError, UnavailableError
from etl_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

# Rows in memory at a time, of those that the server holds.
BATCH = 1000
CONNECT_SECONDS = 10
# Classes of SQLSTATE, the more special ones first.
KINDS: dict[str, type[PipelineError]] = {
    "28": AccessError, "42501": AccessError, "3D": ConfigError, "42": ConfigError,
    "08": UnavailableError, "40": UnavailableError, "53": UnavailableError, "57": UnavailableError,
}  # fmt: skip
# Where there is no SQLSTATE: while connecting, and in SQLite.
TEXTS: dict[str, type[PipelineError]] = {
    "starting up": UnavailableError, "shutting down": UnavailableError, "too many": UnavailableError,
    "recovery": UnavailableError, "locked": UnavailableError, "does not exist": ConfigError, "FATAL": AccessError,
    "unable to open": ConfigError, "no such": ConfigError, "not a database": ConfigError,
}  # fmt: skip


class Database:
    """The database of an address; messages call the address ``named``: the setting it came from."""

    def __init__(self, url: str, *, named: str) -> None:
        self._named = named
        self._url = self._checked(url)

    def rows(self, select: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
        """The rows of a query, as they come; the transaction ends with the last of them. Times are in UTC.

        Raises:
            ConfigError: there is no such database, table or column. AccessError: it may not be read.
            DataError: a value cannot be read. UnavailableError: the database does not answer.

        """
        is_postgresql = self._url.get_backend_name() == "postgresql"
        timeout = {"connect_timeout": CONNECT_SECONDS} if is_postgresql else {}
        # Values bound to a statement would be part of errors.
        engine = sa.create_engine(self._url, poolclass=sa.NullPool, hide_parameters=True, connect_args=timeout)
        with self._explained(), engine.connect() as connection:
            if is_postgresql:
                connection.execution_options(postgresql_readonly=True)
                connection.execute(sa.text("SET LOCAL TIME ZONE 'UTC'"))
            yield from connection.execute(select.execution_options(yield_per=BATCH))

    def _checked(self, text: str) -> sa.URL:
        advice = "It is written postgresql://user:password@host/name or sqlite:///path."
        try:
            url = sa.make_url(text)
            name = url.get_backend_name()
        except (exc.ArgumentError, ValueError):
            raise ConfigError(f"{self._named} is no address of a database.", advice=advice) from None
        if name in ("postgresql", "postgres"):
            return url.set(drivername="postgresql+psycopg")
        if name == "sqlite" and url.database:
            return sa.URL.create("sqlite", database=f"file:{quote(url.database)}", query={"mode": "ro", "uri": "true"})
        raise ConfigError(f"{self._named} is of a database that is not supported.", advice=advice)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            found, kind = str(error.orig), kind_of_error(getattr(error.orig, "sqlstate", None), str(error.orig))
        except (exc.SQLAlchemyError, ValueError) as error:  # a value that SQLAlchemy cannot convert
            found, kind = str(error), DataError
        else:
            return
        for secret in (self._url.password, self._url.query.get("password")):
            found = found.replace(str(secret), "…") if secret else found
        raise kind(
            f"cannot read the database: {printable(found).rstrip('.')}.", advice=f"Check {self._named}."
        ) from None


def kind_of_error(state: str | None, text: str) -> type[PipelineError]:
    """What an error of a database is to a run, by its SQLSTATE or its text."""
    if state is not None:
        return next((kind for begin, kind in KINDS.items() if state.startswith(begin)), DataError)
    return next((kind for part, kind in TEXTS.items() if part in text), UnavailableError)
