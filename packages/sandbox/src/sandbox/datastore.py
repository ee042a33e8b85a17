"""The datastore's endpoints: queries as JSON or CSV, and the streamed `/download` (facts 1.1 to 1.7)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from typing import Any

from sandbox import errors
from sandbox.body_faults import SPOILS, break_off, drift, spoil_body
from sandbox.csv_dialect import record
from sandbox.edge import retry_after
from sandbox.errors import ApiError, Headers
from sandbox.faults import Fault, Luck
from sandbox.payload import check_row_ids, checked
from sandbox.reply import Reply, body_reply, json_reply, to_json
from sandbox.result import Chunk, Data, Result, rows_of
from sandbox.settings import Settings
from sandbox.statement import Orders, Statement
from sandbox.tables import STRANGER, Table, YearTable
from sandbox.world import World

_LONG_ANSWER = 5_000
_INDEXES = {
    "idx5": "record_id",
    "idx12": "covered_recipient_npi",
    "idx14": "applicable_manufacturer_or_applicable_gpo_making_payment_id",
}


@dataclass
class _Asked:
    """A query that is understood, on a table that exists."""

    settings: Settings
    table: Table
    query: dict[str, Any]
    luck: Luck
    download: bool

    @property
    def csv(self) -> bool:
        return bool(self.query["format"] == "csv")

    def disposition(self) -> Headers:
        name = "data.csv" if self.csv else "data.json"
        shown = f'"{name}"' if self.settings.dialect == "A" else name
        return (("Content-Disposition", f"attachment; filename={shown}"),)

    def line(self, *texts: str) -> Data:
        """A CSV row that is no row of the table."""
        return Data(record(texts, self.settings.dialect) + b"\n")


class Datastore:
    """Answers to queries on the world's tables."""

    def __init__(self, world: World) -> None:
        self._world, self._orders, self._turns = world, Orders(), count(1)

    def answer(
        self, settings: Settings, target: list[str], payload: dict[str, Any], luck: Luck, *, download: bool
    ) -> Reply:
        """`target` is [], [distribution id] or [dataset id, index]."""
        identifier = target[0] if target else None
        if len(target) == 2:
            identifier = self._world.distribution_id(target[0], target[1])
            if identifier is None:
                return json_reply({"message": f"No resource found for dataset {target[0]} at index {target[1]}"}, 404)
        check_row_ids(payload, single_table=bool(target) and not download)
        if identifier is not None:
            payload = payload | {"resources": [{"id": identifier, "alias": "t"}]}
        if payload.get("format") == "csv" and not download:
            payload = payload | {"schema": True}
        query = checked(payload, dialect=settings.dialect, rows_limit=None if download else settings.rows_limit)
        _refuse_when_degraded(settings, query, download=download)
        if download:
            query["results"] = False
        asked = _Asked(settings, self._open(query), query, luck, download)
        reply = self._download(asked) if download else self._page(asked)
        if luck.fault is not None and luck.fault.name == "cached_bad":
            reply.cache_for = luck.fault.param("seconds", 3600.0)
        return reply

    def _open(self, query: Mapping[str, Any]) -> Table:
        resources = query.get("resources") or []
        if len(resources) != 1:
            raise ApiError("Too many resources specified." if resources else errors.DATABASE_ERROR)
        identifier = str(resources[0].get("id", ""))
        found = self._world.open(identifier)
        if found is None and _is_uuid(identifier):
            raise ApiError(f"Error retrieving metadata: distribution {identifier} not found.", 404)
        if found is None and not re.fullmatch(r"\w+__\w+", identifier):
            raise ApiError(f"Could not find identifier and version for {identifier}")
        if found is None or isinstance(found, tuple):
            name, version = found or identifier.split("__", 1)
            raise ApiError(f"No datastore storage found for {name}:{version}.")
        return found

    def _statement(self, asked: _Asked) -> Statement:
        query, luck = asked.query, asked.luck
        if query.get("groupings") and not asked.settings.grouped_counts:
            raise ApiError(errors.DATABASE_ERROR)
        scopes = ("download" if asked.download else "count", "both")
        if luck.meet("conditions", lambda f: bool(query.get("conditions")) and f.param("scope", "download") in scopes):
            query = query | {"conditions": []}
        statement = Statement(asked.table, query, self._orders, next(self._turns))
        if luck.meet(
            "count", lambda _: statement.counts_groups or (query["count"] and not (asked.download and asked.csv))
        ):
            statement.miscounted = luck.random.choice((-1, 1))
        # The list stands in the echo, and makes the header show titles (facts 1.7).
        asked.query.setdefault("properties", [] if query["rowIds"] else [column.name for column in asked.table.columns])
        return statement

    def _page(self, asked: _Asked) -> Reply:
        """JSON, or CSV, up to the rows limit."""
        query, statement = asked.query, self._statement(asked)
        result = statement.result() if query["results"] else None
        if result is not None:
            _spoil_rows(asked, statement, result)
        schema = _schema(asked) if query["schema"] else None
        total = statement.count() if query["count"] else None
        rows = result.rows if result is not None else 0
        if asked.csv:
            csv = _csv(result, asked.settings) if result is not None else iter(())
            body = b"".join(chunk.body for chunk in csv if isinstance(chunk, Data))
            reply = body_reply(body, "text/csv; charset=UTF-8", rows=rows, headers=asked.disposition())
        else:
            answer: dict[str, Any] = {}
            if result is not None:
                names = result.names
                dicts = (dict(zip(names, row, strict=True)) for row in rows_of(result))
                answer["results"] = list(dicts) if query["keys"] else [list(row) for row in rows_of(result)]
            answer |= {"count": total} if total is not None else {}
            answer |= {"schema": schema} if schema is not None else {}
            reply = json_reply(answer | {"query": query}, rows=rows)
        reply.cost = statement.cost
        spoil_body(reply, asked.luck, json=not asked.csv)
        return reply

    def _download(self, asked: _Asked) -> Reply:
        """Every matching row in one stream. What fails after the count is written into the body (facts 1.7)."""
        query, statement, luck = asked.query, self._statement(asked), asked.luck
        total = statement.count() if query["count"] else None
        if not asked.csv and asked.settings.dialect == "A":
            raise ApiError(errors.NOT_STREAMING)
        reply = Reply(200, _stream_headers(asked), [], cost=statement.cost)
        if not query["schema"] and asked.csv:
            reply.chunks = [asked.line(errors.NO_HEADER)]
            return reply
        try:
            result = statement.result()
        except ApiError as problem:
            header = query["properties"] if asked.settings.machine_names else statement.header()
            reply.chunks = [asked.line(*map(str, header)), asked.line(problem.message)]
            return reply
        if fault := luck.meet("header"):
            drift(fault, result, len(asked.table.columns))
        _spoil_rows(asked, statement, result)
        if not asked.settings.long_answers and luck.fault is None and result.rows > _LONG_ANSWER:
            break_off(result, _LONG_ANSWER, asked.settings.dialect)
        schema = _schema(asked) if query["schema"] and not asked.csv else None
        rest = {"count": total, "schema": schema, "query": query}
        reply.chunks = _csv(result, asked.settings) if asked.csv else _json_stream(result, rest)
        return reply


def _spoil_rows(asked: _Asked, statement: Statement, result: Result) -> None:
    """Body faults on rows; a JSON page can only lose, repeat or swap rows here."""
    everywhere = ("short_rows", "repeated_row", "foreign_row", "cached_bad")
    streamed = asked.download and asked.csv
    foreign = not statement.aggregates and isinstance(asked.table, YearTable)

    def applies(fault: Fault) -> bool:
        whole_rows = fault.name in everywhere and fault.param("kind", "short_rows") == "short_rows"
        known = fault.name in SPOILS and (foreign or fault.name != "foreign_row")
        return result.rows > 0 and known and (streamed or whole_rows)

    if fault := asked.luck.meet("body", applies):
        here = {run.part for run in result.runs}
        others = [part for part in asked.table.parts() if part not in here] or [STRANGER]
        stranger = asked.luck.random.choice(others)
        SPOILS[fault.name](fault, result, asked.luck.random, asked.settings.dialect, stranger)


def _refuse_when_degraded(settings: Settings, query: Mapping[str, Any], *, download: bool) -> None:
    costly = any(query.get(name) for name in ("conditions", "joins", "groupings", "sorts", "offset"))
    if settings.degraded and (download or costly):
        text = errors.DEGRADED_DOWNLOAD if download else errors.DEGRADED_QUERY
        raise ApiError(text, 503, headers=retry_after(settings.retry_after_seconds, settings.retry_after_form))


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _stream_headers(asked: _Asked) -> Headers:
    return (
        ("Content-Type", "text/csv; charset=UTF-8" if asked.csv else "application/json"),
        *asked.disposition(),
        ("X-Accel-Buffering", "no"),
        ("Cache-Control", "max-age=3600, public"),
        ("Last-Modified", format_datetime(datetime.now(UTC), usegmt=True)),
    )


def _fields(columns: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {name: {"type": "text", "mysql_type": "text", "description": title} for name, title in columns}


def _schema(asked: _Asked) -> dict[str, Any]:
    """The table's columns and indexes; they drift like a download's header if the fault's `schema` says so."""
    names, titles = map(list, zip(*((column.name, column.title) for column in asked.table.columns), strict=True))
    schema: dict[str, Any] = {"fields": _fields(zip(names, titles, strict=True))}
    if indexes := {key: [name] for key, name in _INDEXES.items() if name in schema["fields"]}:
        schema["indexes"] = indexes
    if asked.table.fulltext:
        schema["fulltext indexes"] = {f"ft{at}": [names[at]] for at in sorted(asked.table.fulltext)}
    if fault := asked.luck.meet("header", lambda fault: bool(fault.param("schema", default=False))):
        shown = Result(asked.table.read, names, titles, None, [])
        drift(fault, shown, len(names))
        schema["fields"] = _fields(zip(names, titles, strict=True))
    return {asked.table.distribution_id: schema}


def _csv(result: Result, settings: Settings) -> Iterator[Chunk]:
    """The header row, on every request and also before no rows at all, then the rows."""
    header = result.names if settings.machine_names else result.header
    yield Data(record(header, settings.dialect) + b"\n")
    yield from result.chunks(settings.dialect)


def _json_stream(result: Result, rest: Mapping[str, Any]) -> Iterator[Chunk]:
    """DKAN 3's streamed JSON; members that are empty are dropped."""
    yield Data(b'{"results":[')
    for number, row in enumerate(rows_of(result)):
        yield Data((b"," if number else b"") + to_json(dict(zip(result.names, row, strict=True))), 1)
    yield Data(b"]" + b"".join(b"," + to_json({key: value})[1:-1] for key, value in rest.items() if value) + b"}")
