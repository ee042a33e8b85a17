"""The source in memory, and facts to hand: what the unit tests of this package share.

``Site`` answers a real ``requests.Session`` through a transport adapter, so ``Source`` and
``HttpClient`` run as they are. It keeps the rules of the real site that our code leans on: PHP
arrays, unknown parameters ignored, 500 rows a query, a header on every download, no order of
rows unless sorted, text comparison, dataset ids refused where a distribution id belongs.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import operator
import re
import tempfile
import threading
import unittest
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from data_pipeline.open_payments.datasets import DATASETS, GENERAL, Dataset
from data_pipeline.open_payments.fetch.task import WindowTask
from data_pipeline.open_payments.ledger.audits import slice_audit_of
from data_pipeline.open_payments.ledger.documents import (
    Attempt,
    Audit,
    Closure,
    CountsFrom,
    Manifest,
    Plan,
    PlannedCompany,
    Release,
    Selection,
    SliceAudit,
    SliceResult,
)
from data_pipeline.open_payments.pipeline import Pipeline
from data_pipeline.open_payments.schema import Columns
from data_pipeline.open_payments.source.api import (
    CATALOGUE_PATH,
    COMPANY_LIST_DATASET,
    COMPANY_LIST_ID_COLUMN,
    COMPANY_LIST_NAME_COLUMN,
    POLICY,
    SCRIPT_PATH,
    Source,
)
from data_pipeline.open_payments.source.catalogue import ResolvedRelease
from data_pipeline.open_payments.source.reference_count import SUMMARY_TITLE
from data_pipeline.open_payments.summaries import SUMMARIES, Summary
from data_pipeline.open_payments.windows import Window, tiles
from etl_core.budget import Budget
from etl_core.http import HttpClient, HttpSettings, make_session
from etl_core.private_folder import PrivateFolder
from etl_core.progress import Progress
from etl_core.retry import Retry, RetryPolicy
from etl_core.stop import Stop
from etl_core.telemetry import Telemetry
from etl_core.testing import ManualClock, MemoryStore

Row = tuple[str, ...]
T = TypeVar("T")
PAYER_ID, RECORD_ID, DATE_OF_PAYMENT = GENERAL.payer_column, GENERAL.record_id_column, "Date_of_Payment"
TITLES = (
    GENERAL.change_type_column,
    PAYER_ID,
    DATE_OF_PAYMENT,
    "Contextual_Information",
    RECORD_ID,
    GENERAL.program_year_column,
    GENERAL.publication_date_column,
)
COLUMNS = Columns(GENERAL, TITLES, tuple(title.lower() for title in TITLES))
COMPANY = "100000000053"
OTHER = "100000000066"
EPOCH = 1_000_000.0
START = datetime(2026, 7, 14, 12, tzinfo=UTC)
NEVER = 10**9


def titles_of(dataset: Dataset) -> tuple[str, ...]:
    """Those of ``TITLES`` that a dataset has."""
    return tuple(one for one in TITLES if one != DATE_OF_PAYMENT or dataset.date_column)


def payments(
    company_id: str,
    rows: int,
    *,
    days: Sequence[str] = ("01/15/2024",),
    first: int = 1,
    dataset: Dataset = GENERAL,
    year: int = 2024,
) -> list[Row]:
    """Rows of one payer with record ids of their own, their dates dealt out in turn."""
    own = int(company_id) % 1_000_000 + 1
    dates = [(days[number % len(days)],) if dataset.date_column else () for number in range(first, first + rows)]
    return [
        ("NEW", company_id, *date, "a lunch, late", f"{own}{number:06d}", str(year), "06/30/2026")
        for number, date in enumerate(dates, first)
    ]


# ------------------------------------------------------------------------------------------ the source


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    path: str
    params: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> str:
        return dict(self.params).get(name, "")

    @property
    def bypass_cache(self) -> bool:
        return bool(self["fresh"])

    @property
    def kind(self) -> str:
        """catalogue, script, company, download, table, count, sum, groups or rows."""
        fixed = {CATALOGUE_PATH: "catalogue", SCRIPT_PATH: "script"}
        if self.path in fixed:
            return fixed[self.path]
        if "/entities/" in self.path:
            return "company"
        if self.path.endswith("/download"):
            return "download"
        if self["results"] == "false":
            return "count" if self["schema"] == "false" else "table"
        if self["properties[0][expression][operator]"]:
            return "sum"
        return "groups" if self["groupings[0]"] else "rows"


@dataclass(frozen=True)
class Reply:
    """One answer; ``error`` is raised in its place, ``breaks`` lets the connection die after the body."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None
    breaks: bool = False


Change = Callable[[Reply], Reply]


def says(status: int, message: str = "no", content_type: str = "application/json", **headers: str) -> Change:
    """Another answer in place of the real one."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _real: Reply(status, json.dumps({"message": message}).encode(), content_type, named)


def sends(body: bytes | str | Any) -> Change:
    """The real answer with another body."""
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return lambda real: replace(real, body=raw)


def edits(change: Callable[[bytes], bytes]) -> Change:
    """The real answer with its body changed."""
    return lambda real: replace(real, body=change(real.body))


def replaces(old: bytes | str, new: bytes | str, count: int = -1) -> Change:
    """The real answer with some of its bytes changed."""
    one, other = (text if isinstance(text, bytes) else text.encode() for text in (old, new))
    return lambda real: replace(real, body=real.body.replace(one, other, count))


def nobody_answers(_real: Reply) -> Reply:
    return Reply(error=requests.exceptions.ConnectionError("connection refused"))


def blocks(_real: Reply) -> Reply:
    return Reply(403, b"<html>Access Denied</html>", "text/html")


def dies(_real: Reply) -> Reply:
    return replace(_real, body=_real.body[: len(_real.body) // 2], breaks=True)


@dataclass
class Published:
    """A table; ``year`` is 0 for those that are no program year."""

    dataset_id: str
    distribution_id: str
    rows: list[Row]
    titles: tuple[str, ...] = TITLES
    year: int = 0
    modified: str = "2026-06-30"
    dataset: Dataset = GENERAL

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(title.lower() for title in self.titles)

    def column(self, name: str) -> int:
        return {one: index for index, one in enumerate(self.names)}[name]


@dataclass
class _Fault:
    kind: str
    change: Change
    left: int
    when: Callable[[Asked], bool]


class Site(HTTPAdapter):
    """CMS Open Payments, as far as ``Source`` asks it. ``asked`` is everything that was asked, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, Published] = {}
        self.unpublished: dict[int, str] = {}
        self.titles: dict[str, str] = {}
        self.profiles: dict[str, dict[int, int]] = {}
        self._summary: dict[tuple[str, str], int] = {}
        self._summarises = True
        self.asked: list[Asked] = []
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self._downloads = 0
        self._serial = 0

    def publish(
        self,
        year: int,
        rows: Iterable[Row] = (),
        *,
        modified: str = "2026-06-30",
        titles: tuple[str, ...] = (),
        dataset: Dataset = GENERAL,
    ) -> Published:
        """Publish a program year, or publish it again: same dataset id, new distribution id."""
        self._serial += 1
        dataset_id = dataset_id_of(year, dataset)
        distribution_id = f"{self._serial:08x}-cda3-5f6b-a501-b76926c7c035"
        table = Published(
            dataset_id, distribution_id, list(rows), titles or titles_of(dataset), year, modified, dataset
        )
        self.tables[dataset_id] = table
        if self._summarises:
            self._summary[dataset.reference_column, str(year)] = len(table.rows)
            self._write_summary()
        return table

    def summarise(self, column: str = GENERAL.reference_column, **rows_of_years: int) -> None:
        """Let the summary by reporting entity say so, whatever is published: ``y2024=6`` are six rows of 2024."""
        self._summarises = False
        self._summary = {(column, name[1:]): count for name, count in rows_of_years.items()}
        self._write_summary()

    def lose_summary(self) -> None:
        """List no summary by reporting entity from now on."""
        self._summarises = False
        self.tables.pop(dataset_id_of(1), None)

    def publish_summary(self, summary: Summary, rows: Iterable[dict[str, str]], *, year: int = 2024) -> Published:
        """Publish a summary, or publish it again, with all columns that are compared, empty where nothing is given."""
        if summary.title == SUMMARY_TITLE:
            self.lose_summary()
        self._serial += 1
        dataset_id = f"{SUMMARIES.index(summary):08d}-b659-41f6-8159-c41b73f47de4"
        titles = (*summary.columns, summary.year_column)
        own = [tuple({"Program_Year": str(year), **row}.get(title, "") for title in titles) for row in rows]
        distribution_id = f"{self._serial:08x}-b659-41f6-8159-c41b73f47de4"
        self.titles[dataset_id] = summary.title
        self.tables[dataset_id] = Published(dataset_id, distribution_id, own, titles)
        return self.tables[dataset_id]

    def _write_summary(self) -> None:
        """Two entities a year and column, with so many rows between them."""
        columns = [one.reference_column for one in DATASETS.values()]
        rows = [
            (year, *(str(part) if one == column else "0" for one in columns))
            for (column, year), count in self._summary.items()
            for part in (count - count // 2, count // 2)
        ]
        dataset_id = dataset_id_of(1)
        self.tables[dataset_id] = Published(dataset_id, "1" * 8, rows, ("program_year", *columns))

    def list_companies(self, ids: Iterable[str]) -> None:
        """The reporting entities, which have rows or not."""
        titles = (COMPANY_LIST_ID_COLUMN, COMPANY_LIST_NAME_COLUMN, "amgpo_making_payment_country")
        rows: list[Row] = [(one, f"Maker {one}", "UNITED STATES") for one in ids]
        self.tables[COMPANY_LIST_DATASET] = Published(COMPANY_LIST_DATASET, "0" * 8, rows, titles)

    def fault(
        self, kind: str, change: Change, times: int = 1, *, when: Callable[[Asked], bool] = lambda _asked: True
    ) -> None:
        """Change the next ``times`` answers of a kind."""
        self._faults.append(_Fault(kind, change, times, when))

    def clear_faults(self) -> None:
        """Answer as things are again."""
        self._faults.clear()

    def kinds(self) -> list[str]:
        """What was asked, in order."""
        return [asked.kind for asked in self.asked]

    def of_kind(self, kind: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.kind == kind]

    def send(self, request: requests.PreparedRequest, *_args: object, **_settings: object) -> requests.Response:
        parts = urlsplit(request.url or "")
        asked = Asked(parts.path, tuple(parse_qsl(parts.query, keep_blank_values=True)))
        with self._lock:
            self.asked.append(asked)
            reply = self._answer(asked)
            fault = next((one for one in self._faults if one.left and one.kind == asked.kind and one.when(asked)), None)
            if fault is not None:
                fault.left -= 1
                reply = fault.change(reply)
        if reply.error is not None:
            raise reply.error
        raw = urllib3.HTTPResponse(
            _Body(reply.body, breaks=reply.breaks),
            headers={"Content-Type": reply.content_type, **reply.headers},
            status=reply.status,
            preload_content=False,
        )
        return self.build_response(request, raw)

    def _answer(self, asked: Asked) -> Reply:
        if asked.kind == "catalogue":
            return _json(self._catalogue())
        if asked.kind == "script":
            listed = [one for one in self.tables.values() if one.year and one.dataset.script_type]
            years = {table.year: table.dataset_id for table in listed} | self.unpublished
            blocks = (
                f'PGYR{year}:[{{type:"generalPayments",id:"{one}"}},{{type:"research",id:"{one}"}}]'
                for year, one in years.items()
            )
            return Reply(body=f"a={{{','.join(blocks)}}};".encode(), content_type="application/javascript")
        if asked.kind == "company":
            return self._company(asked.path.rpartition("/")[2])
        return self._query(asked)

    def _catalogue(self) -> list[dict[str, Any]]:
        tables = [one for one in self.tables.values() if one.year]
        years = [(f"{one.year} {one.dataset.title}", one.dataset_id, one.modified) for one in tables]
        years += [(f"{year} {GENERAL.title}", one, "2026-06-30") for year, one in self.unpublished.items()]
        items = [{"title": title, "identifier": one, "modified": modified} for title, one, modified in years]
        items += [
            {"title": title, "identifier": one, "modified": self.tables[one].modified}
            for one, title in self.titles.items()
        ]
        summary = {"title": SUMMARY_TITLE, "identifier": dataset_id_of(1)}
        return [*items, summary] if dataset_id_of(1) in self.tables else items

    def _company(self, company_id: str) -> Reply:
        if company_id not in self.profiles:
            return says(404, "not found")(Reply())
        years = self.profiles[company_id].items()
        return _json(
            {
                "summaryByAvailableYear": [
                    {"programYear": str(year), "generalTransactions": rows} for year, rows in years
                ]
            }
        )

    def _query(self, asked: Asked) -> Reply:
        match = re.fullmatch(r"/api/1/datastore/query/([^/]+)(/0)?(/download)?", asked.path)
        known = self.tables.values()
        table = None
        if match:
            table = next(
                (one for one in known if match[1] == (one.dataset_id if match[2] else one.distribution_id)), None
            )
        if table is None:
            return says(404, "Error retrieving metadata: distribution not found.")(Reply())
        try:
            rows = table.rows
            for condition in _php_array(asked, "conditions"):
                rows = _those_that_meet(condition, table.column(condition["property"]), rows)
            return self._download(asked, table, rows) if asked.kind == "download" else _results(asked, table, rows)
        except KeyError:
            return says(400, "Column not found.")(Reply())
        except ValueError as error:
            return says(400, str(error))(Reply())

    def _download(self, asked: Asked, table: Published, rows: list[Row]) -> Reply:
        if asked["format"] != "csv":
            raise ValueError("Streaming not currently available for JSON responses")
        self._downloads += 1
        if rows and not asked["sorts[0][property]"]:
            turn = self._downloads % len(rows)  # no order is promised, so none is kept
            rows = rows[turn:] + rows[:turn]
        page = _page(asked, _in_order(asked, table, rows), len(rows))
        return Reply(body=b"".join(map(_csv_line, [table.titles, *page])), content_type="text/csv")


class _Body(io.BytesIO):
    """A body at whose end the connection may die."""

    def __init__(self, body: bytes, *, breaks: bool) -> None:
        super().__init__(body)
        self._breaks = breaks

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        if not found and self._breaks:
            raise ConnectionResetError(104, "connection reset by peer")
        return found

    def read1(self, size: int | None = -1) -> bytes:
        return self.read(size)


def dataset_id_of(year: int, dataset: Dataset = GENERAL) -> str:
    return f"{year:08d}-2534-4207-a4a1-{len(dataset.header):04d}a14911ff"


def _json(value: object) -> Reply:
    return Reply(body=json.dumps(value).encode())


@functools.cache
def _csv_line(row: Row) -> bytes:
    """As PHP writes it: quoted where a field holds a comma, quote, space, tab or line break."""
    doubled = (text.replace('"', '""') for text in row)
    return (",".join(f'"{text}"' if re.search(r'[,"\s]', text) else text for text in doubled) + "\n").encode()


def _php_array(asked: Asked, name: str) -> list[dict[str, str]]:
    """``name[0][key]=value …``; indexes that are not consecutive make an object, which is refused."""
    found: dict[int, dict[str, str]] = {}
    for key, value in asked.params:
        match = re.fullmatch(rf"{name}\[(\d+)\]((?:\[\w+\])*)", key)
        if match:
            found.setdefault(int(match[1]), {})[match[2].replace("][", ".").strip("[]")] = value
    if list(found) != list(range(len(found))):
        raise ValueError(f"{name} must be array")
    return list(found.values())


def _those_that_meet(condition: dict[str, str], column: int, rows: list[Row]) -> list[Row]:
    meets = {"=": operator.eq, ">=": operator.ge, "<": operator.lt}[condition["operator"]]
    return [row for row in rows if meets(row[column], condition["value"])]


def _in_order(asked: Asked, table: Published, rows: list[Row]) -> list[Row]:
    for sort in _php_array(asked, "sorts"):
        rows = sorted(rows, key=operator.itemgetter(table.column(sort["property"])), reverse=sort["order"] == "desc")
    return rows


def _page(asked: Asked, rows: list[T], default: int) -> list[T]:
    start = int(asked["offset"] or 0)
    return rows[start : start + int(asked["limit"] or default)]


def _results(asked: Asked, table: Published, rows: list[Row]) -> Reply:
    if int(asked["limit"] or 0) > 500:
        raise ValueError("JSON Schema validation failed.")
    answer: dict[str, Any] = {}
    if asked["results"] != "false":
        answer["results"] = {"groups": _groups, "sum": _sum}.get(asked.kind, _objects)(asked, table, rows)
    if asked["count"] != "false":
        answer["count"] = len(rows)
    if asked["schema"] != "false":
        pairs = zip(table.names, table.titles, strict=True)
        fields = {name: {"type": "text", "description": title} for name, title in pairs}
        answer["schema"] = {table.distribution_id: {"fields": fields}}
    answer["query"] = {"resources": [{"id": table.distribution_id, "alias": "t"}]}
    return _json(answer)


def _objects(asked: Asked, table: Published, rows: list[Row]) -> list[dict[str, str]]:
    names = [one[""] for one in _php_array(asked, "properties")] or table.names
    columns = [table.column(name) for name in names]
    page = _page(asked, _in_order(asked, table, rows), 500)
    return [{name: row[column] for name, column in zip(names, columns, strict=True)} for row in page]


def _sum(asked: Asked, table: Published, rows: list[Row]) -> list[dict[str, str]]:
    (summed,) = _php_array(asked, "properties")
    values = [float(row[table.column(summed["expression.operands.0"])]) for row in rows]
    return [{summed["alias"]: f"{sum(values):.1f}" if values else ""}]


def _groups(asked: Asked, table: Published, rows: list[Row]) -> list[dict[str, str]]:
    plain, counted = _php_array(asked, "properties")
    name = plain[""]
    table.column(counted["expression.operands.0"])
    if (asked["groupings[0]"], counted["expression.operator"]) != (name, "count"):
        raise ValueError("You may not mix simple properties and aggregation expressions in a single query.")
    groups = Counter(row[table.column(name)] for row in rows)
    in_order = sorted(groups.items()) if asked["sorts[0][property]"] == name else list(groups.items())
    return [{name: value, counted["alias"]: str(number)} for value, number in _page(asked, in_order, 500)]


# ------------------------------------------------------------------------------------- all of it at hand


class Shown(Progress):
    """A ``Progress`` that tells what it counted."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = self.slices = self.bytes_read = 0
        self.begun: list[tuple[str, int, int]] = []
        self.described: list[str] = []
        self.stopped = 0
        self._lock = threading.Lock()

    def start(self, doing: str, *, units: int, rows: int, unit_name: str = "") -> None:
        self.begun.append((doing, units, rows))

    def describe(self, doing: str) -> None:
        self.described.append(doing)

    def advance(self, *, rows: int = 0, units: int = 0, bytes_read: int = 0) -> None:
        with self._lock:
            self.rows += rows
            self.slices += units
            self.bytes_read += bytes_read

    def stop(self) -> None:
        self.stopped += 1


class World:
    """A site, an empty lake, a clock that stands still, and the clients between them."""

    def __init__(self, *, streams: int = 2, attempts: int = 4) -> None:
        self.site = Site()
        self.store = MemoryStore()
        self.clock = ManualClock(EPOCH)
        self.calendar = START
        self._folder = tempfile.TemporaryDirectory()
        self.stop = Stop()
        self.telemetry = Telemetry()
        self.progress = Shown()
        self.streams = streams
        self.retry = Retry(
            RetryPolicy(attempts=attempts, first_wait_seconds=1.0),
            sleep=self.clock.sleep,
            clock=self.clock,
            chance=lambda: 1.0,
        )
        settings = HttpSettings("http://site.test", "tests")
        session = make_session(settings)
        session.trust_env = False
        session.mount("http://", self.site)
        self.source = Source(
            HttpClient(
                settings,
                POLICY,
                session=session,
                budget=Budget(
                    64,
                    PrivateFolder(Path(self._folder.name), "budget"),
                    clock=self.clock,
                    sleep=self.clock.sleep,
                    check_stop=self.stop.check,
                ),
                retry=self.retry,
                telemetry=self.telemetry,
                clock=self.clock,
                check_stop=self.stop.check,
            )
        )

    def now(self) -> datetime:
        return self.calendar + timedelta(seconds=self.clock.now - EPOCH)

    def later(self, **period: float) -> None:
        """Move the calendar, back too."""
        self.calendar += timedelta(**period)

    def close(self) -> None:
        self.store.close()
        self._folder.cleanup()

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline(
            self.source,
            self.store,
            retry=self.retry,
            now=self.now,
            progress=self.progress,
            stop=self.stop,
            streams=self.streams,
        )

    def resolved(self, table: Published) -> ResolvedRelease:
        """A table of the site as a release."""
        return ResolvedRelease(a_release(table), self.source.table(table.dataset, table.dataset_id))

    def parts(self) -> list[str]:
        """Keys of the raw parts in the lake."""
        return [entry.key for entry in self.store.list("raw/")]


class WorldCase(unittest.TestCase):
    """A test that has a world."""

    def setUp(self) -> None:
        self.world = World()
        self.addCleanup(self.world.close)

    @property
    def site(self) -> Site:
        return self.world.site

    @property
    def store(self) -> MemoryStore:
        return self.world.store


# ------------------------------------------------------------------------------------------------ facts


def a_release(table: Published | None = None, **changes: Any) -> Release:
    values: dict[str, Any] = {
        "dataset": "general-payments",
        "year": 2024,
        "dataset_id": dataset_id_of(2024),
        "distribution_id": "9323b84e-cda3-5f6b-a501-b76926c7c035",
        "modified": "2026-06-30",
    }
    if table is not None:
        values |= {
            "dataset": table.dataset.name,
            "year": table.year,
            "dataset_id": table.dataset_id,
            "distribution_id": table.distribution_id,
            "modified": table.modified,
        }
    return Release(**values | changes)


def an_audit(company_id: str = COMPANY, *, number: int = 1, of: int = 1, **changes: Any) -> Audit:
    release = changes.pop("release", a_release())
    values: dict[str, Any] = {
        "release": release,
        "company_id": company_id,
        "window": tiles(of)[number - 1],
        "key": release.keys(company_id).part(number, of),
        "url": "http://site.test/download",
        "condition": f"payer = {company_id}",
        "strategy": "window",
        "verdict": "proved",
        "records": 3,
        "bytes": 300,
        "sha256": f"{number:064x}",
        "content_hash": f"{number + 1:064x}",
        "header_hash": "b" * 64,
        "dialect": "rfc4180",
        "count_before": 3,
        "count_after": 3,
        "started_at": START,
        "proved_at": START,
        "seconds": 1.25,
        "requests": 2,
        "retries": 1,
        "software": {"data_pipeline": "0.1.0"},
    }
    return Audit(**values | changes)


def a_slice(company_id: str = COMPANY, *, parts: int = 1, **changes: Any) -> SliceAudit:
    """A closed slice, as ``Audits.close_slice`` would write it."""
    release = changes.pop("release", a_release())
    audits = tuple(an_audit(company_id, number=one + 1, of=parts, release=release, **changes) for one in range(parts))
    return slice_audit_of(release, company_id, audits, sum(one.records for one in audits), START)


def an_attempt(company_id: str = COMPANY, **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "run_id": "r1",
        "release": a_release(),
        "company_id": company_id,
        "window": Window(1, 1, "", ""),
        "attempt": 1,
        "reason": "rows_missing",
        "detail": "2 records, the source counts 3",
        "temporary": True,
        "final": True,
        "condition": f"payer = {company_id}",
        "count_before": 3,
        "records": 2,
        "bytes": 200,
        "at": START,
    }
    return Attempt(**values | changes)


def a_selection(**changes: Any) -> Selection:
    return Selection(**{"dataset": "general-payments", "year": 2024} | changes)


def a_plan(
    companies: dict[str, int | None] | None = None,
    *,
    run_id: str = "r1",
    source_rows: int = 3,
    reference_rows: int | None = 1,
    counts_from: CountsFrom = "grouped",
    release: Release | None = None,
    created_at: datetime = START,
    **selection: Any,
) -> Plan:
    rows: dict[str, int | None] = {COMPANY: 3} if companies is None else companies
    release = release or a_release()
    return Plan(
        run_id=run_id,
        selection=a_selection(**{"dataset": release.dataset, "year": release.year} | selection),
        release=release,
        counts_from=counts_from,
        source_rows=source_rows,
        reference_rows=reference_rows,
        companies=tuple(PlannedCompany(company_id=one, rows=count) for one, count in rows.items()),
        created_at=created_at,
    )


def a_result(company_id: str = COMPANY, verdict: Any = "proved", **changes: Any) -> SliceResult:
    return SliceResult(**{"company_id": company_id, "verdict": verdict, "rows_expected": 3} | changes)


def a_manifest(*results: SliceResult, **changes: Any) -> Manifest:
    results = results or (a_result(rows=3, bytes=300),)
    done = [one for one in results if one.verdict in ("proved", "empty")]
    values: dict[str, Any] = {
        "run_id": "r1",
        "dataset": "general-payments",
        "year": 2024,
        "files_planned": len(results),
        "files_downloaded": len(done),
        "files_failed": len(results) - len(done),
        "status": "completed",
        "selection": a_selection(),
        "release": a_release(),
        "release_at_end": a_release(),
        "totals": dict(Counter(one.verdict for one in results)),
        "rows": sum(one.rows for one in results),
        "bytes": sum(one.bytes for one in results),
        "closure": Closure(
            closed=True, source_rows=3, proved_rows=3, companies_proved=len(done), confirmed=True, note="it adds up"
        ),
        "slices": results,
        "file_audits": 0,
        "file_audits_sha256": "0" * 64,
        "created_at": START,
        "finished_at": START,
        "software": {},
    }
    return Manifest(**values | changes)


def a_task(resolved: ResolvedRelease, company_id: str = COMPANY, **changes: Any) -> WindowTask:
    """The whole slice of a company as one window, its count not known."""
    values: dict[str, Any] = {"window": Window(1, 1, "", ""), "expected": None, "run_id": "r1"} | changes
    return WindowTask(release=resolved.release, columns=resolved.table.columns, company_id=company_id, **values)


def read_csv(raw: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw.decode(), newline="")))
