"""Where a record stands in its raw part: found on demand, for DuckDB numbers no records. And the chain as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl_core.csv_stream.dialect import end_by_quotes, next_record, parse_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data_pipeline.lakehouse.facts import TracedRequest, TraceFact


@dataclass(frozen=True)
class Place:
    """A record in a part. Record and line are counted from 1 as people do: line 1 is the header, record 1 follows."""

    record: int
    line: int
    byte: int


def places_of(body: bytes, key_column: str, key: str) -> list[Place]:
    """The records of a part whose key is this: one, in a part that was proved. Titles are compared in lower case."""
    header, _, _ = body.partition(b"\n")
    names = parse_record(header.lower(), header.count(b",") + 1) or []
    column, wanted = names.index(key_column.lower().encode()), key.encode()
    found, number, line, start = [], 0, 2, len(header) + 1
    while end := _end_of_record(body, start, len(names)):
        number += 1
        if body.find(wanted, start, end) >= 0:
            fields = parse_record(body[start : end - 1], len(names))
            if fields is not None and fields[column] == wanted:
                found.append(Place(number, line, start))
        line += body.count(b"\n", start, end)
        start = end
    return found


def _end_of_record(body: bytes, start: int, width: int) -> int:
    """Where the record ends, after its line end; 0 if none starts here."""
    # Both dialects read a text alike that has no quote after a backslash: it need not be parsed.
    end = end_by_quotes(body, start)
    if end and body.find(b'\\"', start, end) < 0:
        return end
    found = next_record(body, start, width)
    return found.end if found else 0


def lines_of(fact: TraceFact) -> Iterator[str]:
    """The chain from a row to its request, for a person."""
    build, raw, request = fact.build, fact.raw, fact.request
    where = f"in {build.table}, build {build.build}" if build else fact.status
    state = "the whole year" if fact.run.closed else "a part of the year"
    yield f"record     {fact.record_id}  {where}"
    yield f"staged     {fact.staged.file}"
    yield f"raw        {raw.part}"
    yield f"           record {raw.record:,}, line {raw.line:,}, byte {raw.byte:,}; sha256 {raw.sha256[:16]}…"
    yield f"request    {request.url}"
    yield (
        f"           status {request.status} at {request.started_at:%Y-%m-%d %H:%M:%S} UTC, in {request.seconds:.2f} s,"
        f" {request.requests:,} request{'s' * (request.requests != 1)}, {request.retries:,} of them retries"
    )
    for one in request.failed_attempts:
        yield f"           before it, at {one.at:%H:%M:%S}: {one.reason}"
    counts = [f"{one:,} records {when}" for one, when in _counts(request) if one is not None]
    yield f"proof      the source counted {' and '.join(counts)}"
    yield f"run        {fact.run_id}  {fact.run.status}, {state}"
    yield f"release    {fact.release} of {fact.dataset} {fact.year}"


def _counts(request: TracedRequest) -> tuple[tuple[int | None, str], ...]:
    return (request.count_before, "before it"), (request.count_after, "after it")
