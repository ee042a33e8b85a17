"""Parts on this machine become Parquet on this machine, and are counted, by DuckDB: nothing here writes to the lake."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.database import duckdb_version, open_database
from data_pipeline.lakehouse.documents import NewValues
from etl_core.csv_stream.layout import excerpt
from etl_core.lake import in_parallel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from data_pipeline.lakehouse.contract import Contract
    from data_pipeline.lakehouse.database import Limits
    from data_pipeline.lakehouse.parts import LocalPart, Part, Parts
    from data_pipeline.runs.documents import CsvPartAudit


# Half of the parts of a year have some 200 records. Read one by one, most of their time would go into planning; the
# files of more than these would wait for each other.
MOST_PARTS, MOST_BYTES = 64, 32_000_000


class Misread(Exception):
    """DuckDB refuses a file, or finds another number of records in it than the audit says."""


@dataclass(frozen=True)
class Converted:
    """One part: its files, None where there is no record for them, and what a ``StagedPart`` says of its records."""

    part: Part
    file: Path | None
    quarantine: Path | None
    measures: dict[str, Any]


@dataclass(frozen=True)
class DuckDb:
    """The engine within this process: several databases side by side, one batch each."""

    limits: Limits
    most = MOST_PARTS, MOST_BYTES

    @property
    def workers(self) -> int:
        """Batches at once."""
        return self.limits.workers

    @property
    def software(self) -> dict[str, str]:
        """What documents say of it."""
        return {"duckdb": duckdb_version()}

    def convert(self, parts: Parts, batch: Sequence[CsvPartAudit], folder: Path) -> list[Converted]:
        """The records of a batch, staged or quarantined; parts of equal columns are read together.

        Raises:
            DataError: a part is not the audited one, has another header, or cannot be read to the last record.

        """
        with open_database(self.limits, folder / "spill") as database:
            local = in_parallel(parts.fetch, batch, [folder / f"{number}.csv" for number in range(len(batch))])
            groups: defaultdict[tuple[str, ...], list[LocalPart]] = defaultdict(list)
            for one in local:
                groups[one.header].append(one)
            return [made for group in groups.values() for made in self._convert(database, parts, group, folder)]

    def _convert(
        self, database: DuckDBPyConnection, parts: Parts, group: list[LocalPart], folder: Path
    ) -> list[Converted]:
        """DuckDB's reading of parts, where it has none that of our own reader."""
        try:
            return convert(database, parts.contract, group, folder)
        except Misread as error:
            first, *others = group
            if others:
                return [made for one in group for made in self._convert(database, parts, [one], folder)]
            if first.transcoded:
                raise parts.run.damaged(first.audit, str(error)) from error
            return self._convert(database, parts, [parts.transcode(first)], folder)


def convert(
    database: DuckDBPyConnection, contract: Contract, parts: Sequence[LocalPart], folder: Path
) -> list[Converted]:
    """Convert parts of equal columns, in one statement.

    Raises:
        Misread: not every audited record is staged or quarantined.

    """
    import duckdb

    out = folder / uuid.uuid4().hex
    out.mkdir()
    columns = len(contract.columns)
    select = sql.stage(contract, {str(one.path): one.audit.key for one in parts}, parts[0].header)
    try:
        if len(parts) == 1:  # cheaper than with PARTITION_BY
            single = out / f"{sql.NUMBER}=1" / "data_0.parquet"
            single.parent.mkdir()
            database.execute(sql.copy(f"SELECT * EXCLUDE {sql.NUMBER} FROM ({select})", str(single), columns=columns))
        else:
            database.execute(sql.copy(select, str(out), columns=columns, by=sql.NUMBER))
        folders = [out / f"{sql.NUMBER}={number}" for number in range(1, len(parts) + 1)]
        files = {
            one.audit.key: str(path) for one, folder in zip(parts, folders, strict=True) for path in folder.glob("*")
        }
        measured = _measured(database, contract, files)
        return [
            _with_quarantine(database, contract, part, folder, measured)
            for part, folder in zip(parts, folders, strict=True)
        ]
    except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
        raise Misread(f"DuckDB refuses it: {excerpt(str(error).encode())}") from error


def _with_quarantine(
    database: DuckDBPyConnection, contract: Contract, part: LocalPart, folder: Path, measured: dict[str, dict[str, Any]]
) -> Converted:
    """One part with its measures. If records are missing, a second pass looks for them."""
    audit = part.audit
    measures = measured[audit.key]
    quarantine, quarantined, reasons = None, 0, {}
    if measures["staged"] != audit.records:
        folder.mkdir(exist_ok=True)
        quarantine = folder / "quarantine.parquet"
        select = sql.quarantine(contract, str(part.path), part.header, audit.key, audit.sha256)
        quarantined = database.execute(sql.copy(select, str(quarantine), columns=len(part.header))).fetchall()[0][0]
        source = sql.read_parquet([str(quarantine)])
        reasons = {reason: count for _, reason, count in database.execute(sql.counts(sql.REASONS, source)).fetchall()}
    if measures["staged"] + quarantined != audit.records:
        raise Misread(f"{measures['staged']} records staged and {quarantined} quarantined, proved were {audit.records}")
    return Converted(
        part,
        folder / "data_0.parquet" if measures["staged"] else None,
        quarantine if quarantined else None,
        {**measures, "quarantined": quarantined, "reasons": reasons},
    )


def _measured(database: DuckDBPyConnection, contract: Contract, files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What is said of the staged records of each part, by the file of each; of a part without any, zeros."""
    amounts, listed = [one.title for one in contract.amounts], contract.listed
    found: defaultdict[str, dict[str, Any]] = defaultdict(
        lambda: {
            "staged": 0, "least": None, "greatest": None, "new_values": (),
            "amounts": dict.fromkeys(amounts, 0), "flags": {},
        }
    )  # fmt: skip
    if not files:
        return found
    flagged, with_new = [], defaultdict(list)
    for part, staged, flags, least, greatest, *more in database.execute(
        sql.measured(contract, sql.read_parquet(files.values()))
    ).fetchall():
        sums, new = more[: len(amounts)], more[len(amounts) :]
        found[part] |= {
            "staged": staged,
            "least": None if least is None else str(least),
            "greatest": None if greatest is None else str(greatest),
            "amounts": {name: total or 0 for name, total in zip(amounts, sums, strict=True)},
        }
        flagged += [files[part]] if flags else []
        for column, count in zip(listed, new, strict=True):
            if count:
                with_new[column.title].append(files[part])
    # Most parts have neither: to open their files again would take as long as the rest.
    if flagged:
        for part, flag, count in database.execute(sql.counts(sql.FLAGS, sql.read_parquet(flagged))).fetchall():
            found[part]["flags"][flag] = count
    for column in listed:
        if own := with_new.get(column.title):
            for part, *said in database.execute(sql.new_values(column, sql.read_parquet(own))).fetchall():
                count, least, greatest = said
                values = NewValues(column=column.title, records=count, least=least[:200], greatest=greatest[:200])
                found[part]["new_values"] += (values,)
    return found
