"""The datastore's endpoints: queries as JSON, and the streamed `/download` (facts 1.1 to 1.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from typing import Any

from sandbox.faults import FaultDraw
from sandbox.open_payments import errors
from sandbox.open_payments.body_faults import OF_BYTES, break_off, corrupt_bytes, corrupt_rows, drift
from sandbox.open_payments.csv_dialect import record
from sandbox.open_payments.edge import retry_after
from sandbox.open_payments.errors import ApiError
from sandbox.open_payments.payload import checked
from sandbox.open_payments.reply import Data, Headers, Reply, json_reply
from sandbox.open_payments.rows import total
from sandbox.open_payments.settings import Settings
from sandbox.open_payments.statement import Statement
from sandbox.open_payments.tables import Table
from sandbox.open_payments.world import FOREIGN_PAYER, World

_LONG_ANSWER = 5_000
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Datastore:
    """Answers to queries on the world's tables."""

    def __init__(self, world: World) -> None:
        self._world, self._turns = world, count(1)

    def answer(self, settings: Settings, path: Sequence[str], payload: Mapping[str, Any], draw: FaultDraw) -> Reply:
        """`path` follows `/query`: nothing, a distribution's id, or a dataset's and an index; then perhaps `download`.

        Without an id the query names its resource.
        """
        download = path[-1:] == ["download"]
        identifier, *index = path[: len(path) - download] or [""]
        if index:
            found = self._world.distribution_id(identifier, index[0])
            if found is None:
                return json_reply({"message": f"No resource found for dataset {identifier} at index {index[0]}"}, 404)
            identifier = found
        query = checked(payload, dialect=settings.dialect, rows_limit=None if download else settings.rows_limit)
        _refuse_when_degraded(settings, query, download=download)
        if identifier:
            if not download and (query.get("resources") or query.get("joins")):
                raise ApiError(errors.RESOURCES)
            query["resources"] = [{"id": identifier, "alias": "t"}]
        table = self._table(query)
        if query.get("groupings") and not settings.grouped_counts:
            raise ApiError(errors.DATABASE_ERROR)
        if table is None:
            return _nothing(query, download=download)
        scopes = ("download" if download else "count", "both")
        if draw.take("conditions", lambda f: bool(query.get("conditions")) and f.param("scope", "download") in scopes):
            query["conditions"] = []
        statement = Statement(table, query, next(self._turns))
        reply = _download(settings, statement, draw) if download else _page(statement, draw)
        reply.cost = statement.cost
        if draw.fault is not None and draw.fault.name in OF_BYTES:
            corrupt_bytes(draw.fault, reply, draw.random)
        if draw.fault is not None and draw.fault.name == "cached_bad":
            reply.keep_seconds = draw.fault.param("seconds", 3600.0)
        return reply

    def file(self, settings: Settings, path: str) -> Reply:
        """A file that the catalogue points to: the whole publication, also while its table is being imported."""
        table = self._world.file(path)
        if table is None:
            raise errors.not_simulated(f"the file {path}")
        query = {"resources": [{"alias": "t"}], "offset": 0}
        chunks = Statement(table, query, 0).result().chunks(settings.dialect)
        return Reply(200, (("Content-Type", "text/csv"),), chunks)

    def _table(self, query: Mapping[str, Any]) -> Table | None:
        """The table of a query; None if it names no resource, or gives it no alias."""
        resources = query.get("resources", [])
        if query.get("joins") or len(resources) > 1:
            raise errors.not_simulated("joins, and several resources")
        if any("id" not in resource for resource in resources):
            raise errors.not_simulated("resources without an id")
        tables = [self._open(resource["id"]) for resource in resources]
        return tables[0] if tables and resources[0].get("alias") else None

    def _open(self, identifier: str) -> Table:
        found = self._world.open(identifier) or identifier
        if isinstance(found, Table):
            return found
        if _UUID.fullmatch(found):
            raise ApiError(f"Error retrieving metadata: distribution {found} not found.", 404)
        if "__" in found:
            raise ApiError(f"No datastore storage found for {found.replace('__', ':')}.")
        raise ApiError(f"Could not find identifier and version for {found}")


def _nothing(query: Mapping[str, Any], *, download: bool) -> Reply:
    """The answer to a query of no table."""
    if download or query["format"] == "csv":
        raise errors.not_simulated("CSV and downloads of no resource")
    found = {"results": [], "count": 0, "schema": []}
    return json_reply({name: empty for name, empty in found.items() if query[name]} | {"query": query})


def _page(statement: Statement, draw: FaultDraw) -> Reply:
    query, table = statement.query, statement.table
    if query["format"] == "csv":
        raise errors.not_simulated("format=csv outside /download")
    if draw.take("count", lambda _: bool(query["count"] or query.get("groupings"))):
        statement.miscounted = draw.random.choice((-1, 1))
    answer: dict[str, Any] = {}
    if query["results"]:
        rows = statement.result().objects()
        answer["results"] = rows if query["keys"] else [list(row.values()) for row in rows]
    if query["count"]:
        answer["count"] = statement.count()
    if query["schema"]:
        shown = {"type": "text", "mysql_type": "text"}
        fields = {name: shown | {"description": title} for name, title in table.columns}
        answer["schema"] = {table.distribution_id: {"fields": fields}}
    answer["query"] = {"properties": list(table.titles)} | query
    reply = json_reply(answer, rows=len(answer.get("results", ())))
    draw.take("body", lambda fault: fault.name in OF_BYTES)
    return reply


def _download(settings: Settings, statement: Statement, draw: FaultDraw) -> Reply:
    """Every matching row in one stream. What fails after the count is written into the body (facts 1.7)."""
    query = statement.query
    if query["count"]:
        statement.count()
    if query["format"] != "csv":
        raise ApiError(errors.NOT_STREAMING) if settings.dialect == "A" else errors.not_simulated("downloads as JSON")
    reply = Reply(200, _stream_headers(settings), [])
    if not query["schema"]:
        reply.chunks = [_line(settings, errors.NO_HEADER)]
        return reply
    try:
        result = statement.result()
    except ApiError as problem:
        reply.chunks = [_line(settings, *statement.header), _line(settings, str(problem))]
        return reply
    if settings.machine_names:
        result.header = list(result.names)
    fault = draw.take("header")
    if fault and fault.name == "text_line":  # what answers is no CSV at all
        reply.chunks = [Data(fault.param("text", errors.NO_HEADER).encode() + b"\n")]
        return reply
    if fault:
        drift(fault, result, len(statement.table.columns))
    rows = total(result.runs)
    if fault := draw.take("body", lambda fault: rows > 0 and fault.name != "json_garbage"):
        corrupt_rows(fault, result, draw.random, settings.dialect, FOREIGN_PAYER)
    elif not settings.long_answers and draw.fault is None and rows > _LONG_ANSWER:
        break_off(result, _LONG_ANSWER, settings.dialect)
    reply.chunks = result.chunks(settings.dialect)
    return reply


def _refuse_when_degraded(settings: Settings, query: Mapping[str, Any], *, download: bool) -> None:
    costly = any(query.get(name) for name in ("conditions", "joins", "groupings", "sorts", "offset"))
    if settings.degraded and (download or costly):
        text = errors.DEGRADED_DOWNLOAD if download else errors.DEGRADED_QUERY
        raise ApiError(text, 503, headers=retry_after(settings.retry_after_seconds, settings.retry_after_form))


def _line(settings: Settings, *texts: str) -> Data:
    """A CSV row that is no row of the table."""
    return Data(record(texts, settings.dialect) + b"\n")


def _stream_headers(settings: Settings) -> Headers:
    name = '"data.csv"' if settings.dialect == "A" else "data.csv"
    return (
        ("Content-Type", "text/csv; charset=UTF-8"),
        ("Content-Disposition", f"attachment; filename={name}"),
        ("X-Accel-Buffering", "no"),
        ("Cache-Control", "max-age=3600, public"),
        ("Last-Modified", format_datetime(datetime.now(UTC), usegmt=True)),
    )
