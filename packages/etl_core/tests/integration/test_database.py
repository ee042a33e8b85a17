"""A database that is only read: a real PostgreSQL, and SQLite."""

import datetime as dt
import sqlite3
import traceback

import pytest
import sqlalchemy as sa

from etl_core.database import BATCH, Database, kind_of_error
from etl_core.errors import AccessError, ConfigError, DataError, UnavailableError
from packages.etl_core.tests.support.postgresql import PASSWORD, QUOTED_PASSWORD, postgresql_server

NOTES = sa.table("notes", sa.column("id"), sa.column("at", sa.DateTime(timezone=True)), sa.column("text"))
ALL = sa.select(NOTES.c.id, NOTES.c.at, NOTES.c.text).order_by(NOTES.c.id)
NOON = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def server():
    with postgresql_server() as url:
        engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            for statement in (
                "CREATE TABLE notes (id bigint PRIMARY KEY, at timestamptz, text text)",
                "INSERT INTO notes SELECT n, '2026-11-29 12:00+00', 'note ' || n FROM generate_series(1, 3500) n",
                "CREATE TABLE locked (id int)",
                "CREATE ROLE reader LOGIN PASSWORD 'secret-of-reader'",
                "GRANT SELECT ON notes TO reader",
                "ALTER ROLE reader SET timezone TO 'Asia/Tokyo'",
            ):
                connection.exec_driver_sql(statement)
        engine.dispose()
        yield url


def as_reader(server: str, password: str = "secret-of-reader") -> str:
    return server.replace(f"postgres:{QUOTED_PASSWORD}", f"reader:{password}")


def rows(url, select=ALL):
    return list(Database(url, named="THE_URL").rows(select))


def test_rows_of_postgresql_come_in_order_and_in_utc(server):
    for url in (server, as_reader(server), server.replace("postgresql://", "postgres://")):
        found = rows(url)
        assert [row.id for row in found] == list(range(1, 3501))
        assert {row.at for row in found} == {NOON}
        assert {row.at.utcoffset() for row in found} == {dt.timedelta(0)}


def test_postgresql_holds_the_rows_and_refuses_to_write(server):
    """A cursor of the server gives them by batches; the transaction is read-only, whatever the user may do."""
    open_rows = Database(server, named="THE_URL").rows(ALL)
    assert next(open_rows).id == 1
    ((statement,),) = rows(server, sa.select(sa.column("statement")).select_from(sa.table("pg_cursors")))[:1] or [("",)]
    assert "pg_cursors" in statement or "notes" in statement
    assert len(list(open_rows)) == 3499 > BATCH

    writing = sa.select(sa.func.nextval(sa.literal_column("'a_sequence'")))
    engine = sa.create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SEQUENCE IF NOT EXISTS a_sequence")
    engine.dispose()
    with pytest.raises(DataError, match="read-only transaction"):
        rows(server, writing)


@pytest.mark.parametrize(
    ("change", "select", "error", "said"),
    [
        (lambda url: as_reader(url, "wrong-password"), ALL, AccessError, "password authentication failed"),
        (as_reader, sa.select(sa.text("id")).select_from(sa.table("locked")), AccessError, "permission denied"),
        (lambda url: url.replace("/postgres?", "/nowhere?"), ALL, ConfigError, "does not exist"),
        (lambda url: url, sa.select(sa.text("id")).select_from(sa.table("nothing")), ConfigError, "does not exist"),
        (lambda url: url, sa.select(sa.text("nothing")).select_from(NOTES), ConfigError, "does not exist"),
        (lambda url: url + "/nowhere", ALL, UnavailableError, "No such file"),
        (lambda url: url, sa.select(sa.text("1/0")), DataError, "division by zero"),
    ],
    ids=range(7),
)
def test_an_error_is_of_its_kind_and_tells_no_secret(server, change, select, error, said):
    url = change(server)
    with pytest.raises(error, match=said) as caught:
        rows(url, select)
    told = "".join(traceback.format_exception(caught.value))
    for secret in (PASSWORD, QUOTED_PASSWORD, "secret-of-reader", "wrong-password", url):
        assert secret not in told
    assert str(caught.value).endswith("Check THE_URL.")


def test_sqlite_is_opened_for_reading_only(tmp_path):
    path = tmp_path / "a b?.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, at TIMESTAMP, text TEXT)")
        connection.execute("INSERT INTO notes VALUES (1, '2026-11-29 12:00:00', 'a')")
    connection.close()
    url = f"sqlite:///{path}".replace("?", "%3F")
    found = rows(sa.URL.create("sqlite", database=str(path)).render_as_string())
    assert found == [(1, NOON.replace(tzinfo=None), "a")]
    assert url != path


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(ConfigError, match="unable to open database file"):
        rows(f"sqlite:///{tmp_path}/nothing.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://root:hunter2@h/d", "sqlite://", "postgresql://u:hunter2@h:port/d"]
)
def test_what_is_no_address_is_a_config_error_that_does_not_repeat_it(url):
    with pytest.raises(ConfigError, match=r"^THE_URL is .*postgresql://user:password@host/name") as caught:
        Database(url, named="THE_URL")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_the_kind_of_an_error_follows_from_its_state_or_its_text():
    for state, text, expected in (
        ("42501", "", AccessError),
        ("42P01", "", ConfigError),
        ("53300", "", UnavailableError),
        ("57P01", "", UnavailableError),
        ("40001", "", UnavailableError),
        ("22012", "", DataError),
        (None, "FATAL:  the database system is starting up", UnavailableError),
        (None, "FATAL:  sorry, too many clients already", UnavailableError),
        (None, "FATAL:  password authentication failed", AccessError),
        (None, "Connection refused", UnavailableError),
        (None, "database is locked", UnavailableError),
        (None, "no such table: agency_files", ConfigError),
    ):
        assert kind_of_error(state, text) is expected, text
