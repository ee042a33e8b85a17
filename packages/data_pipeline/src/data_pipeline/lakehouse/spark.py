"""Spark as the engine of stage and build_curated: the same rows and documents as with DuckDB, from the same contract.

Spark reads the files of the lake by their addresses, and writes to a place that its executors and this process share,
the *scratch*. From there files come here, are hashed, and go where DuckDB's go. Everything runs in Java: executors need
no Python. Each raw part is read as one partition and becomes one file, so a job has as many tasks as parts.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from data_pipeline.lakehouse import spark_sql as sql
from data_pipeline.lakehouse.conversion import Converted
from data_pipeline.lakehouse.documents import NewValues
from data_pipeline.lakehouse.parts import Part, damaged
from data_pipeline.lakehouse.spark_files import SparkFiles, escaped, plain
from data_pipeline.lakehouse.spark_session import spark_version, translated
from data_pipeline.lakehouse.sql import FILE, FLAGS, NOT_UTF8, NUMBER, PART, REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from data_pipeline.lakehouse.contract import Contract
    from data_pipeline.lakehouse.documents import StagedPart
    from data_pipeline.lakehouse.parts import Parts
    from data_pipeline.runs.documents import CsvPartAudit
    from etl_core.lake import ObjectStore

# What a killed process does again, and what of a year is in the scratch at once.
MOST_PARTS, MOST_BYTES = 512, 2_000_000_000
# A file is written by one task, which sorts its records: a year of 15 million has some 15 of them.
ROWS_PER_FILE = 1_000_000
HEADER_BYTES = 65_536
CSV = {
    "header": "true", "multiLine": "true", "quote": '"', "escape": '"', "lineSep": "\n", "encoding": "UTF-8",
    "mode": "PERMISSIVE", "columnNameOfCorruptRecord": sql.BROKEN, "maxCharsPerColumn": "-1",
    "ignoreLeadingWhiteSpace": "false", "ignoreTrailingWhiteSpace": "false",
}  # fmt: skip


@dataclass(frozen=True)
class RemotePart(Part):
    """A part where Spark reads it."""

    uri: str


@dataclass(frozen=True)
class Spark:
    """The engine. ``scratch`` is a store that executors write to and this process reads from."""

    session: SparkSession
    store: ObjectStore
    scratch: ObjectStore
    most = MOST_PARTS, MOST_BYTES
    # Spark itself runs tasks side by side.
    workers = 1

    @property
    def software(self) -> dict[str, str]:
        """What documents say of it."""
        return {"spark": spark_version()}

    def convert(self, parts: Parts, batch: Sequence[CsvPartAudit], folder: Path) -> list[Converted]:
        """The records of a batch, staged or quarantined.

        Raises:
            DataError: a part is not the audited one, has another header, or Spark finds another number of records.

        """
        with translated(), SparkFiles(self.session, self.scratch, folder) as files:
            work = _Work(self.store, files)
            return work.converted(parts, work.opened(parts, batch))

    def sort(
        self, contract: Contract, groups: Sequence[Sequence[StagedPart]], folder: Path
    ) -> Iterator[tuple[Sequence[StagedPart], Path]]:
        """One file per group of staged parts, its records in the contract's order.

        Raises:
            DataError: a staged file is not what its document says.

        """
        if not groups:
            return
        with translated(), SparkFiles(self.session, self.scratch, folder) as files:
            yield from _Work(self.store, files).sorted(contract, groups)


class _Work:
    """On parts and staged files of one lake."""

    def __init__(self, store: ObjectStore, files: SparkFiles) -> None:
        self._store, self._files = store, files

    def opened(self, parts: Parts, batch: Sequence[CsvPartAudit]) -> list[RemotePart]:
        """The parts, checked: their bytes are the audited ones, their header is the contract's."""
        uris = {plain(self._store.uri(one.key)): one for one in batch}
        head = f"substring_index(decode(substring(content, 1, {HEADER_BYTES}), 'UTF-8'), '\\n', 1)"
        is_text = "encode(decode(content, 'UTF-8'), 'UTF-8') = content"
        opened = []
        for path, digest, titles, is_utf8 in self._files.whole(uris, head, is_text):
            audit = uris[path]
            if digest != audit.sha256:
                raise parts.run.damaged(audit, f"sha256 {digest}, proved was {audit.sha256}")
            header, drift = parts.header_of(audit, tuple(next(csv.reader([titles]), [])))
            part = RemotePart(audit, header, drift, path)
            is_plain = is_utf8 and audit.dialect != "backslash"
            opened.append(part if is_plain else self._transcoded(parts, part))
        return opened

    def _transcoded(self, parts: Parts, part: RemotePart) -> RemotePart:
        """A part as our own reader reads it; raises ``DataError`` if it cannot."""
        local = parts.fetch(part.audit, self._files.new_path(".csv"))
        local = local if local.transcoded else parts.transcode(local)
        return replace(part, header=local.header, uri=self._files.shared(local.path))

    def converted(self, parts: Parts, opened: Iterable[RemotePart]) -> list[Converted]:
        """What parts became; raises ``DataError`` for one of which Spark finds another number of records."""
        contract = parts.contract
        groups: defaultdict[tuple[str, ...], list[RemotePart]] = defaultdict(list)
        for one in opened:
            groups[one.header].append(one)
        made: list[Converted] = []
        for header, group in groups.items():
            staged = self._staged(contract, header, group)
            short = [one for one in group if staged[one.audit.key][1]["staged"] != one.audit.records]
            taken = self._quarantined(contract, header, short) if short else {}
            for one in group:
                file, measures = staged[one.audit.key]
                other, reasons, count = taken.get(one.audit.key, (None, {}, 0))
                if measures["staged"] + count != one.audit.records:
                    said = f"{measures['staged']} records staged and {count} quarantined"
                    raise parts.run.damaged(one.audit, f"{said}, proved were {one.audit.records}")
                made.append(Converted(one, file, other, {**measures, "quarantined": count, "reasons": reasons}))
        return made

    def _staged(
        self, contract: Contract, header: Sequence[str], parts: Sequence[RemotePart]
    ) -> dict[str, tuple[Path | None, dict[str, Any]]]:
        """The good records of parts as files here, and what is said of them, by part."""
        where = f"NOT {sql.quarantined(contract, transcoded=NOT_UTF8 in header)}"
        typed = self._records(contract, header, parts).where(where).selectExpr(*sql.staged(contract))
        files = {key.rpartition("/")[2]: (key, path) for key, path in self._files.apart(typed).items()}
        amounts, listed = [one.title for one in contract.amounts], contract.listed
        nothing = {
            "staged": 0, "least": None, "greatest": None, "new_values": (), "flags": {},
            "amounts": dict.fromkeys(amounts, 0),
        }  # fmt: skip
        found: defaultdict[str, tuple[Path | None, dict[str, Any]]] = defaultdict(lambda: (None, dict(nothing)))
        if not files:
            return found
        table = self._files.table(sql.typed_schema(contract), (key for key, _ in files.values()))
        any_flag = False
        for part, name, count, flagged, least, greatest, *more in _measured(table, sql.measures(contract)):
            sums, new = more[: len(amounts)], more[len(amounts) :]
            values = zip(listed, new[::3], new[1::3], new[2::3], strict=True)
            any_flag |= bool(flagged)
            found[part] = files[name][1], {
                **nothing, "staged": count, "least": least, "greatest": greatest, "flags": {},
                "amounts": dict(zip(amounts, sums, strict=True)),
                "new_values": tuple(
                    NewValues(column=one.title, records=n, least=low[:200], greatest=high[:200])
                    for one, n, low, high in values if n
                ),
            }  # fmt: skip
        for part, flag, count in _counted(table, FLAGS) if any_flag else ():
            found[part][1]["flags"][flag] = count
        return found

    def _quarantined(
        self, contract: Contract, header: Sequence[str], parts: Sequence[RemotePart]
    ) -> dict[str, tuple[Path, dict[str, int], int]]:
        """The other records of parts as files here, how many have which reason, and how many there are, by part."""
        where = sql.quarantined(contract, transcoded=NOT_UTF8 in header)
        others = self._records(contract, header, parts).where(where).selectExpr(*sql.quarantine(contract, header))
        files = {key.rpartition("/")[2]: (key, path) for key, path in self._files.apart(others).items()}
        if not files:
            return {}
        table = self._files.table(others.schema, (key for key, _ in files.values()))
        reasons: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for part, reason, count in _counted(table, REASONS):
            reasons[part][reason] = count
        return {
            part: (files[name][1], reasons[part], count) for part, name, count in _measured(table, ["count(*) AS m0"])
        }

    def sorted(
        self, contract: Contract, groups: Sequence[Sequence[StagedPart]]
    ) -> Iterator[tuple[Sequence[StagedPart], Path]]:
        """Each group in one file here: all tasks sort at once, and each file is written by one of them."""
        from pyspark.sql.functions import asc_nulls_last

        numbers = {
            plain(self._store.uri(part.staged_file.key)): (number, part.staged_file)
            for number, group in enumerate(groups)
            for part in group
        }
        for path, digest in self._files.whole(numbers):
            if digest != numbers[path][1].sha256:
                raise damaged(self._store, numbers[path][1], "other bytes")
        table = self._files.session.read.schema(sql.typed_schema(contract)).parquet(*map(escaped, numbers))
        named = self._files.session.sql(sql.numbered({path: number for path, (number, _) in numbers.items()}))
        placed = table.selectExpr("*", sql.file_path()).join(named.hint("broadcast"), FILE).drop(FILE)
        order = [asc_nulls_last(one) for one in (NUMBER, *map(str.lower, contract.order))]
        in_order = placed.repartition(len(groups), NUMBER).sortWithinPartitions(*order)
        files = self._files.written(in_order, by=NUMBER)
        for number, group in enumerate(groups):
            (path,) = (path for key, path in files.items() if f"/{NUMBER}={number}/" in key)
            yield group, path

    def _records(self, contract: Contract, header: Sequence[str], parts: Sequence[RemotePart]) -> DataFrame:
        """The records of parts as text, each with its part and its place; those that Spark cannot read are left out."""
        options = {**CSV, "nullValue": contract.missing, "emptyValue": contract.missing}
        reader = self._files.session.read.schema(sql.text_schema(header)).options(**options)
        records = reader.csv([escaped(one.uri) for one in parts]).selectExpr("*", sql.file_path(), sql.place())
        named = self._files.session.sql(sql.named({one.uri: (one.audit.key, one.audit.sha256) for one in parts}))
        return records.join(named.hint("broadcast"), FILE).where(f"{sql.BROKEN} IS NULL")


def _measured(table: DataFrame, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """By part its file, and what SQL says of its records."""
    from pyspark.sql.functions import expr

    yield from table.groupBy(PART, FILE).agg(*map(expr, columns)).collect()


def _counted(table: DataFrame, column: str) -> list[tuple[str, str, int]]:
    """By part, how often each of the comma-joined names in a column occurs."""
    one = table.where(f"{column} IS NOT NULL").selectExpr(PART, f"explode(split({column}, ',')) AS one")
    return sorted(map(tuple, one.groupBy(PART, "one").count().collect()))
