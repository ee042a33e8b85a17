"""How DKAN writes a CSV record: PHP's `fputcsv`, in the two dialects of facts 1.7.

A (DKAN 2) uses PHP's default escape character, a backslash: it forces quotes, and a quote that follows it
is not doubled, so that RFC 4180 readers go wrong. B (DKAN 3 and later) switches the escape off: RFC 4180.
Both quote a field that holds a space, so most files look half quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Dialect = Literal["A", "B"]

_NEEDS_QUOTES = {"A": re.compile(r'[,"\n\r\t \\]'), "B": re.compile(r'[,"\n\r\t ]')}
# In A a backslash protects the next quote, also across further backslashes: \\" stays as it is.
_QUOTE_NOT_PROTECTED = {"A": re.compile(r'(?<!\\)"'), "B": re.compile('"')}


def field(text: str, dialect: Dialect) -> str:
    """One field as it stands in the file."""
    if not _NEEDS_QUOTES[dialect].search(text):
        return text
    return '"' + _QUOTE_NOT_PROTECTED[dialect].sub('""', text) + '"'


def record(fields: Iterable[str | None], dialect: Dialect) -> bytes:
    """Fields joined by commas, UTF-8, without a line end; nothing stands for NULL."""
    return ",".join([field(text or "", dialect) for text in fields]).encode()
