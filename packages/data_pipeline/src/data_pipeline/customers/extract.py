"""The CSV of a run, made of its pages as a stream: each customer once, in flat memory."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from data_pipeline.customers.columns import COLUMNS, HEADER, KEY, MISSING, text_of, type_of
from data_pipeline.customers.documents import FieldCounts
from etl_core.csv_stream.dialect import write_fields
from etl_core.distinct import DistinctKeys
from etl_core.files import translate_os_errors
from etl_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from data_pipeline.customers.pages import Record

# Names of fields are the API's: they may be without end.
MOST_UNKNOWN, ALL_OTHERS = 100, "…"


@dataclass
class Extract:
    """The file at ``path``, and what was found while it was written."""

    path: Path
    id_field: str
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
    def of(cls, pages: Iterable[list[Record]], path: Path, id_field: str) -> Extract:
        """Write the rows of pages to ``path``. Of several with one id the first one counts."""
        made, scratch = cls(path, id_field), path.with_name(f"{path.name}.ids")
        with translate_os_errors(f"write {path}"), path.open("wb") as stream, DistinctKeys(scratch) as ids:
            stream.write(made._line(HEADER))
            for records in pages:
                stream.writelines(made._row(record) for record in records if made._is_new(record, ids))
        scratch.unlink()
        return made

    @cached_property
    def _read(self) -> dict[str, tuple[str, ...]]:
        """The fields in the order of the columns, with the types of each."""
        return {self.id_field if name == KEY else name: types for name, types in COLUMNS.items()}

    @property
    def found(self) -> FieldCounts:
        """What was found in the rows, by field."""
        wrong = {name: dict(sorted(by_type.items())) for name, by_type in sorted(self.wrong_types.items())}
        counted = {name: dict(sorted(getattr(self, name).items())) for name in ("missing", "nulls", "unknown")}
        return FieldCounts(wrong_types=wrong, **counted)

    @property
    def hashes(self) -> dict[str, str]:
        """Those of its audit."""
        content = f"{self._content % (1 << 256):064x}"
        header = hashlib.sha256(write_fields(HEADER)).hexdigest()
        return {"sha256": self._sha256.hexdigest(), "content_hash": content, "header_hash": header}

    def _is_new(self, record: Record, ids: DistinctKeys) -> bool:
        own = text_of(record.get(self.id_field))
        self.without_id += not own
        is_new = not own or ids.add(own)
        self.repeated += not is_new
        return is_new

    def _row(self, record: Record) -> bytes:
        cells = [self._cell(record, name, types) for name, types in self._read.items()]
        for name in record.keys() - self._read.keys():
            shown = printable(name, 100)
            self.unknown[shown if shown in self.unknown or len(self.unknown) < MOST_UNKNOWN else ALL_OTHERS] += 1
        self.rows += 1
        self._content += int.from_bytes(hashlib.sha256(write_fields(cells)).digest())
        return self._line(cells)

    def _cell(self, record: Record, name: str, types: tuple[str, ...]) -> bytes:
        if name not in record:
            self.missing[name] += 1
            return MISSING
        value = record[name]
        if value is None:
            self.nulls[name] += 1
        elif type_of(value) not in types:
            self.wrong_types[name][type_of(value)] += 1
        return text_of(value)

    def _line(self, cells: list[bytes]) -> bytes:
        line = write_fields(cells) + b"\n"
        self._sha256.update(line)
        self.size += len(line)
        return line
