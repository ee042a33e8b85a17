"""Faults that spoil the rows of an answer. Each rewrites the pieces of a result; none applies to no rows."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from sandbox.csv_dialect import Dialect, record
from sandbox.faults import Fault, Luck
from sandbox.reply import Reply
from sandbox.result import BLANK, Data, End, Pause, Piece, Result
from sandbox.runs import Run, cut

EXCEPTION = "SQLSTATE[HY000]: General error: 2006 MySQL server has gone away"
# Fault, rows, where to draw from, dialect, and a part whose rows do not belong here.
Spoil = Callable[[Fault, Result, Random, Dialect, str], None]


def _between(result: Result, start: int, stop: int | None = None) -> list[Piece]:
    return list(cut(result.runs, start, result.rows if stop is None else stop))


def _torn(end: list[Piece]) -> Spoil:
    """Rows are missing, the last one is torn, and then comes `end`."""

    def spoil(fault: Fault, result: Result, random: Random, dialect: Dialect, _: str) -> None:
        at = min(fault.param("rows", random.randrange(result.rows)), result.rows - 1)
        line = record(next(iter(result.values(cut(result.runs, at, at + 1)[0]))), dialect)
        result.pieces = [*_between(result, 0, at), Data(line[: max(1, len(line) // 2)]), *end]

    return spoil


def _stall(fault: Fault, result: Result, random: Random, *_: object) -> None:
    at = random.randrange(result.rows)
    result.pieces = [*_between(result, 0, at), Pause(fault.param("seconds", 1.0)), *_between(result, at)]


def _short_rows(fault: Fault, result: Result, random: Random, *_: object) -> None:
    missing = fault.param("rows", random.randrange(max(1, result.rows // 10)) + 1)
    result.pieces = _between(result, 0, max(0, result.rows - missing))


def _error_row(fault: Fault, result: Result, random: Random, dialect: Dialect, _: str) -> None:
    last = fault.param("position", "middle") == "last"
    after = result.rows if last else random.randrange(min(1, result.rows - 1), result.rows)
    break_off(result, after, dialect, fault.param("text", EXCEPTION))


def break_off(result: Result, after: int, dialect: Dialect, text: str = EXCEPTION) -> None:
    """Let the text of an exception, a row of one field, end the rows (facts 1.7)."""
    result.pieces = [*_between(result, 0, after), Data(record([text], dialect) + b"\n")]


def _repeated_row(fault: Fault, result: Result, random: Random, *_: object) -> None:  # noqa: ARG001
    """A row stands in its neighbour's place, too; a single row simply comes twice."""
    at = random.randrange(max(1, result.rows - 1))
    twice = _between(result, at, at + 1) * 2
    result.pieces = [*_between(result, 0, at), *twice, *_between(result, at + 2)]


def _foreign_row(fault: Fault, result: Result, random: Random, _: Dialect, stranger: str) -> None:  # noqa: ARG001
    at = random.randrange(result.rows)
    result.pieces = [*_between(result, 0, at), Run(stranger, range(1)), *_between(result, at + 1)]


def _cached_bad(fault: Fault, result: Result, random: Random, dialect: Dialect, stranger: str) -> None:
    """The CDN will repeat this answer: its maker marks the reply."""
    spoil = _error_row if fault.param("kind", "short_rows") == "error_row" else _short_rows
    spoil(fault, result, random, dialect, stranger)


SPOILS: dict[str, Spoil] = {
    "short_body": _torn([]),
    "cut_body": _torn([End()]),
    "reset": _torn([End(reset=True)]),
    "stall": _stall,
    "short_rows": _short_rows,
    "error_row": _error_row,
    "repeated_row": _repeated_row,
    "foreign_row": _foreign_row,
    "cached_bad": _cached_bad,
}


def drift(fault: Fault, result: Result, columns: int) -> None:
    """Rename, add or remove a column of the header, and of the rows where it matters."""
    change, title = fault.param("change", "rename"), fault.param("column", "")
    at = result.header.index(title) if title in result.header else len(result.header) // 2
    if change == "rename":
        result.header[at] = fault.param("to", f"{result.header[at]}_v2")
        result.names[at] = result.header[at].lower()
        return
    pick = list(range(columns)) if result.pick is None else list(result.pick)
    if change == "remove":
        del result.header[at], result.names[at], pick[at]
    else:
        result.header.append(fault.param("to", "New_Column"))
        result.names.append(result.header[-1].lower())
        pick.append(BLANK)
    result.pick = pick


def spoil_body(reply: Reply, luck: Luck, *, json: bool) -> None:
    """Faults on an answer of known length: garbage, a pause, an end too soon."""
    names = ("cut_body", "reset", "stall", "short_body", *(("json_garbage",) if json else ()))
    if fault := luck.meet("body", lambda fault: fault.name in names):
        (data,) = [chunk for chunk in reply.chunks if isinstance(chunk, Data)]
        half = len(data.body) // 2
        first, second = Data(data.body[:half]), Data(data.body[half:], data.rows)
        if fault.name in {"json_garbage", "short_body"}:
            reply.chunks, reply.length = [first], half
        elif fault.name == "stall":
            reply.chunks = [first, Pause(fault.param("seconds", 1.0)), second]
        else:
            reply.chunks = [first, End(reset=fault.name == "reset")]
