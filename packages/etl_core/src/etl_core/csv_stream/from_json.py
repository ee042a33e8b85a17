"""A CSV made of JSON records as a stream: declared columns, each id once, values as they came, in flat memory."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from etl_core.csv_stream.writer import RecordWriter
from etl_core.distinct import DistinctKeys
from etl_core.files import translate_os_errors
from etl_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from etl_core.csv_stream.reader import Summary

TYPES = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
# Names of fields are a server's: they may be without end.
MOST_UNKNOWN, ALL_OTHERS = 100, "…"


@dataclass(frozen=True)
class Columns:
    """The columns by title, declared so that a new field does not change the header in the middle of a file.

    ``fields`` are those of a record that they are read from, each with the types of JSON that its values may have;
    ``key`` is the field with the id, ``missing`` what stands for a field that a record lacks.
    """

    titles: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]
    key: str
    missing: str


def text_of(value: Any) -> bytes:  # noqa: ANN401 - JSON
    """A value as it stands in a cell: a text as it is, null as nothing, anything else as JSON."""
    if value is None:
        return b""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Half of a surrogate pair, which JSON can hold and UTF-8 cannot.
    return text.encode("utf-8", "backslashreplace")


@dataclass
class JsonAsCsv:
    """The file at ``path``, and what was found while it was written."""

    path: Path
    columns: Columns
    without_id: int = 0
    repeated: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    nulls: Counter[str] = field(default_factory=Counter)
    wrong_types: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    unknown: Counter[str] = field(default_factory=Counter)
    written: Summary = field(init=False)

    @classmethod
    def of(cls, batches: Iterable[list[dict[str, Any]]], path: Path, columns: Columns) -> JsonAsCsv:
        """Write records to ``path``. Of several with one id the first one counts, and each without an id."""
        made, scratch = cls(path, columns), path.with_name(f"{path.name}.ids")
        with translate_os_errors(f"write {path}"), path.open("wb") as stream, DistinctKeys(scratch) as ids:
            writer = RecordWriter(stream, columns.titles)
            for record in chain.from_iterable(batches):
                if made._is_new(record, ids):
                    writer.write(made._row(record))
        made.written = writer.summary
        scratch.unlink()
        return made

    @property
    def found(self) -> dict[str, Any]:
        """What was found in the rows, by field: missing, nulls, wrong types by the type found, unknown fields."""
        wrong = {name: dict(sorted(by_type.items())) for name, by_type in sorted(self.wrong_types.items())}
        counted = {name: dict(sorted(getattr(self, name).items())) for name in ("missing", "nulls", "unknown")}
        return {"wrong_types": wrong, **counted}

    def _is_new(self, record: dict[str, Any], ids: DistinctKeys) -> bool:
        own = text_of(record.get(self.columns.key))
        self.without_id += not own
        is_new = not own or ids.add(own)
        self.repeated += not is_new
        return is_new

    def _row(self, record: dict[str, Any]) -> list[bytes]:
        fields = self.columns.fields
        for name in record.keys() - fields.keys():
            shown = printable(name, 100)
            self.unknown[shown if shown in self.unknown or len(self.unknown) < MOST_UNKNOWN else ALL_OTHERS] += 1
        return [self._cell(record, name, types) for name, types in fields.items()]

    def _cell(self, record: dict[str, Any], name: str, types: tuple[str, ...]) -> bytes:
        if name not in record:
            self.missing[name] += 1
            return self.columns.missing.encode()
        value = record[name]
        if value is None:
            self.nulls[name] += 1
        elif (found := TYPES[type(value)]) not in types:
            self.wrong_types[name][found] += 1
        return text_of(value)
