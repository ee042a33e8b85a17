"""A CSV made of JSON records as a stream: declared columns, each id once, values as they came, in flat memory."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl_core.csv_stream.dialect import write_fields
from etl_core.distinct import DistinctKeys
from etl_core.files import translate_os_errors
from etl_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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

    @property
    def header(self) -> bytes:
        """The first line, without its end."""
        return write_fields([title.encode() for title in self.titles])


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
    rows: int = 0
    without_id: int = 0
    repeated: int = 0
    size: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    nulls: Counter[str] = field(default_factory=Counter)
    wrong_types: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    unknown: Counter[str] = field(default_factory=Counter)
    _content: int = 0
    _sha256: Any = field(default_factory=hashlib.sha256)

    @classmethod
    def of(cls, batches: Iterable[list[dict[str, Any]]], path: Path, columns: Columns) -> JsonAsCsv:
        """Write records to ``path``. Of several with one id the first one counts, and each without an id."""
        made, scratch = cls(path, columns), path.with_name(f"{path.name}.ids")
        with translate_os_errors(f"write {path}"), path.open("wb") as stream, DistinctKeys(scratch) as ids:
            stream.write(made._line(columns.header))
            for records in batches:
                stream.writelines(made._row(record) for record in records if made._is_new(record, ids))
        scratch.unlink()
        return made

    @property
    def found(self) -> dict[str, Any]:
        """What was found in the rows, by field: missing, nulls, wrong types by the type found, unknown fields."""
        wrong = {name: dict(sorted(by_type.items())) for name, by_type in sorted(self.wrong_types.items())}
        counted = {name: dict(sorted(getattr(self, name).items())) for name in ("missing", "nulls", "unknown")}
        return {"wrong_types": wrong, **counted}

    @property
    def hashes(self) -> dict[str, str]:
        """As ``RecordReader`` finds them in the file."""
        content = f"{self._content % (1 << 256):064x}"
        header = hashlib.sha256(self.columns.header).hexdigest()
        return {"sha256": self._sha256.hexdigest(), "content_hash": content, "header_hash": header}

    def _is_new(self, record: dict[str, Any], ids: DistinctKeys) -> bool:
        own = text_of(record.get(self.columns.key))
        self.without_id += not own
        is_new = not own or ids.add(own)
        self.repeated += not is_new
        return is_new

    def _row(self, record: dict[str, Any]) -> bytes:
        fields = self.columns.fields
        text = write_fields([self._cell(record, name, types) for name, types in fields.items()])
        for name in record.keys() - fields.keys():
            shown = printable(name, 100)
            self.unknown[shown if shown in self.unknown or len(self.unknown) < MOST_UNKNOWN else ALL_OTHERS] += 1
        self.rows += 1
        self._content += int.from_bytes(hashlib.sha256(text).digest())
        return self._line(text)

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

    def _line(self, text: bytes) -> bytes:
        line = text + b"\n"
        self._sha256.update(line)
        self.size += len(line)
        return line
