"""Faults that corrupt the rows of an answer, or its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from sandbox.faults import Fault
from sandbox.open_payments.csv_dialect import Dialect, record
from sandbox.open_payments.reply import Chunk, Data, End, Pause, Reply
from sandbox.open_payments.rows import Result, Run, cut, total

OF_BYTES = frozenset(("cut_body", "reset", "stall", "short_body", "json_garbage", "drip"))
EXCEPTION = "SQLSTATE[HY000]: General error: 2006 MySQL server has gone away"


def corrupt_rows(fault: Fault, result: Result, random: Random, dialect: Dialect, foreign: str) -> None:
    """Rewrite the pieces of a download that has rows; `foreign` names a part whose rows do not belong here."""
    runs, rows = result.runs, total(result.runs)
    at = random.randrange(rows)
    before, after = cut(runs, 0, at), cut(runs, at + 1, rows)
    match fault.name:
        case "short_rows" | "cached_bad":
            result.pieces = cut(runs, 0, rows - 1 - random.randrange(max(1, rows // 20)))
        case "error_row":
            break_off(result, rows if fault.param("position", "middle") == "last" else at, dialect)
        case "repeated_row":  # in its neighbour's place; a single row simply comes twice
            at = min(at, max(0, rows - 2))
            twice = cut(runs, at, at + 1) * 2
            result.pieces = [*cut(runs, 0, at), *twice, *cut(runs, at + 2, rows)]
        case "foreign_row":
            result.pieces = [*before, Run(foreign, range(1)), *after]


def break_off(result: Result, after: int, dialect: Dialect) -> None:
    """Let the text of an exception, a row of one field, end the rows (facts 1.7)."""
    result.pieces = [*cut(result.runs, 0, after), Data(record([EXCEPTION], dialect) + b"\n")]


def drift(fault: Fault, result: Result, columns: int) -> None:
    """Rename, add or remove a column of the header, and of the rows where it matters."""
    at, pick = len(result.header) // 2, result.pick or list(range(columns))
    match fault.param("change", "rename"):
        case "rename":
            result.header[at] += "_v2"
        case "remove":
            del result.header[at], pick[at]
            result.pick = pick
        case _:
            result.header.append("New_Column")
            result.pick = [*pick, columns]


def corrupt_bytes(fault: Fault, reply: Reply, random: Random) -> None:
    """Let the body pause, slow down, end or break off in the middle of a chunk, and inside a record if it has any."""
    chunks = [chunk for chunk in reply.chunks if isinstance(chunk, Data)]
    at = random.randrange(1, len(chunks)) if len(chunks) > 1 else 0  # the first chunk of several is the header
    body = chunks[at].body
    half = len(body) // 2
    half -= body[half - 1] == ord("\n")
    before: list[Chunk] = [*chunks[:at], Data(body[:half])]
    if fault.name == "stall":
        reply.chunks = [
            *before,
            Pause(fault.param("seconds", 1.0)),
            Data(body[half:], chunks[at].rows),
            *chunks[at + 1 :],
        ]
    elif fault.name == "drip":
        reply.chunks = [*before, *_dripped(body[half:], fault.param("bytes_per_second", 100.0))]
    elif fault.name in {"cut_body", "reset"}:
        reply.chunks = [*before, End(reset=fault.name == "reset")]
    else:
        reply.chunks, reply.length = before, None if reply.length is None else half


def _dripped(body: bytes | memoryview, bytes_per_second: float) -> Iterator[Chunk]:
    for at in range(len(body)):
        yield Pause(1.0 / bytes_per_second)
        yield Data(body[at : at + 1])
