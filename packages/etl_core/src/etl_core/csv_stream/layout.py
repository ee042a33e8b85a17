"""``Layout``: what every record of a stream must look like, and the pattern of a plain one."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from etl_core.csv_stream.dialect import BARE_FIELD, QUOTED_FIELD
from etl_core.printable import dotted


@dataclass(frozen=True)
class Layout:
    """What every record of a stream must look like.

    ``key`` names the column whose values are unique; ``equal`` the value a column must have
    in every record; ``between`` a column and the half-open text range ``[low, high)`` it must
    lie in (an empty bound is open); ``volatile`` the columns left out of the content hash;
    ``mark`` a column whose value is handed out with each record.
    ``other_header`` are other names under which the same columns may come.
    """

    header: tuple[str, ...]
    key: str
    other_header: tuple[str, ...] = ()
    equal: Mapping[str, str] = field(default_factory=dict)
    between: tuple[str, str, str] | None = None
    volatile: frozenset[str] = frozenset()
    mark: str = ""


# Streams that begin together would each compile the pattern, and all of them would begin later.
_compiling = threading.Lock()


def plain_record(layout: Layout) -> re.Pattern[bytes]:
    """The pattern of a record, with its line end, that reads the same in both dialects.

    It has the width of the header and quotes exactly the fields that need it, so that its text is what
    ``write_fields`` would write. Groups: ``key``, ``mark`` and ``between``, which are not quoted here, ``equal<n>``
    for the columns of ``equal`` in their order, and ``steady<n>`` for each run of columns that count in the content
    hash.
    """
    between = layout.between[0] if layout.between else ""
    roles = {"key": layout.key, "mark": layout.mark, "between": between}
    named = tuple((role, column) for role, column in roles.items() if column)
    equal = tuple((f"equal{number}", column) for number, column in enumerate(layout.equal))
    with _compiling:
        return _plain_record(layout.header, named, equal, layout.volatile)


# To compile the pattern of 91 columns takes 30 ms; thousands of readers of a run have the same one.
@lru_cache(maxsize=16)
def _plain_record(
    header: tuple[str, ...],
    bare: tuple[tuple[str, str], ...],
    equal: tuple[tuple[str, str], ...],
    volatile: frozenset[str],
) -> re.Pattern[bytes]:
    columns: list[bytes] = []
    for name in header:
        taken = [role for role, column in bare if column == name]
        pattern = BARE_FIELD if taken else rb"(?:%s|%s)" % (BARE_FIELD, QUOTED_FIELD)
        taken += [role for role, column in equal if column == name]
        for role in taken:
            pattern = rb"(?P<%s>%s)" % (role.encode(), pattern)
        columns.append(pattern)
    runs: list[tuple[bool, list[bytes]]] = []
    for name, pattern in zip(header, columns, strict=True):
        steady = name not in volatile
        if not runs or runs[-1][0] is not steady:
            runs.append((steady, []))
        runs[-1][1].append(pattern)
    parts = [
        rb"(?P<steady%d>%s)" % (number, b",".join(patterns)) if steady else b",".join(patterns)
        for number, (steady, patterns) in enumerate(runs)
    ]
    return re.compile(b",".join(parts) + rb"\n")


def header_difference(line: bytes, expected: tuple[str, ...]) -> str:
    """What is wrong with a header line, in words and without control characters."""
    found = line.decode("utf-8", "replace").replace('"', "").split(",")
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if not missing and not extra:
        return f"the header has its {len(found)} columns in another order or twice"
    return f"the header misses {missing[:5]} and adds {[excerpt(name.encode()) for name in extra[:5]]}"


def looks_like_a_header(line: bytes, layout: Layout) -> bool:
    """Whether a first line names columns, known ones for the most part, so that a difference is one of columns.

    Names count as the same whatever their case and punctuation. A line of text or a record names none of them.
    """
    known = {_letters(name) for name in (*layout.header, *layout.other_header)}
    found = [_letters(name) for name in line.decode("utf-8", "replace").split(",")]
    named = sum(name in known for name in found)
    return len(found) > 1 and 2 * named > min(len(found), len(layout.header))


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def excerpt(raw: bytes, length: int = 160) -> str:
    """The start of untrusted bytes as printable text."""
    return dotted(raw[:length].decode("utf-8", "replace"))
