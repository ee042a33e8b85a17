r"""The outline of many records at once: is each as wide as the header, and which keys do they have?

One record at a time costs a pattern match of 90 cells, some 4 s a GB. Here the text outside
quotes is reduced to its separators and compared with what it must be, whole chunks in one
comparison. It answers for the usual case alone: None says "read them one by one", never "wrong".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Takes the place of the anchor's value. Text that holds it already does not fit the outline.
_ANCHOR = b"\x01"
_ORDINARY = bytes(byte for byte in range(256) if byte not in b",\n\r" + _ANCHOR)


@dataclass(frozen=True)
class Cells:
    """One value a record, in order: of the key, and of the column between bounds if there is one."""

    keys: list[bytes]
    between: list[bytes]


class Outline:
    """Records of ``width`` columns whose ``anchor`` column holds ``value``, before ``between`` and ``key``."""

    def __init__(self, width: int, anchor: int, value: bytes, key: int, between: int | None) -> None:
        self._needle = b"," + value + b","
        self._record = b"," * anchor + _ANCHOR + b"," * (width - 1 - anchor) + b"\n"
        pattern = _ANCHOR + b","
        at = anchor + 1
        for index in (key,) if between is None else (between, key):
            pattern += rb"[^,\n]*+," * (index - at) + rb"([^,\n]*+)[,\n]"
            at = index + 1
        self._values = re.compile(pattern)
        self._has_between = between is not None

    def cells_of(self, lines: bytes) -> Cells | None:
        """The cells of whole lines, if all are records in which nothing but inner cells is quoted.

        Holds then: every quote opens or ends a cell or is doubled within one, every record has the
        width, the anchor's value in its column and nowhere else outside quotes, and neither its
        first, its last nor one of the cells returned is quoted.
        """
        if lines[:1] == b'"' or _ANCHOR in lines:
            return None
        pieces = lines.split(b'"')
        if len(pieces) % 2 == 0:
            return None
        # Outside quotes; a quoted cell leaves one quote. A doubled quote leaves an empty piece, dropped here.
        pieces = list(filter(None, pieces[::2]))
        outside = b'"'.join(pieces).replace(self._needle, b"," + _ANCHOR + b",")
        quoted = len(pieces) - 1
        if outside.count(b',"') != quoted or outside.count(b'",') != quoted:
            return None
        if outside.translate(None, _ORDINARY) != self._record * outside.count(b"\n"):
            return None
        found = self._values.findall(outside)
        between, keys = zip(*found, strict=True) if self._has_between else ((), found)
        if not b"".join(keys).isdigit() or b'"' in b"".join(set(between)):
            return None
        return Cells(list(keys), list(between))


def outline_of(
    width: int, equal: dict[int, bytes], key: int, between: int | None, volatile: frozenset[int]
) -> Outline | None:
    """The outline of a layout, where it has the usual order of columns: one fixed value, the bounds, the key."""
    if len(equal) != 1 or volatile != {0, width - 1}:
        return None
    ((anchor, value),) = equal.items()
    ordered = [0, anchor, *([] if between is None else [between]), key, width - 1]
    if ordered != sorted(set(ordered)) or not value.isalnum():
        return None
    return Outline(width, anchor, value, key, between)
