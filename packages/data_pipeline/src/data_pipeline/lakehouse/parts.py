"""Raw parts on this machine, as files that DuckDB can read: checked, in RFC 4180, their header compared."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from data_pipeline.lakehouse.sql import NOT_UTF8
from etl_core.csv_stream.dialect import write_fields
from etl_core.csv_stream.reader import RecordError
from etl_core.csv_stream.records import fields_of
from etl_core.errors import DataError
from etl_core.files import chunks_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from data_pipeline.lakehouse.contract import Contract, HeaderDrift
    from data_pipeline.lakehouse.documents import StoredFile
    from data_pipeline.runs.documents import CsvPartAudit
    from etl_core.lake import ObjectStore


class Run(Protocol):
    """What is needed of a committed run; ``runs.committed`` has it."""

    def parts(self) -> Iterator[CsvPartAudit]:
        """The audits of all parts."""
        ...

    def chunks(self, part: Any) -> Iterator[bytes]:  # noqa: ANN401 - the audit of a domain
        """The bytes of a part; raises ``DataError`` if they are not the audited ones."""
        ...

    def damaged(self, part: Any, found: str) -> DataError:  # noqa: ANN401 - likewise
        """The error for a part that is not what its audit says."""
        ...


@dataclass(frozen=True)
class Part:
    """A part that an engine can read; ``header`` are the columns of the file by the contract's names."""

    audit: CsvPartAudit
    header: tuple[str, ...]
    drift: HeaderDrift | None

    @property
    def transcoded(self) -> bool:
        """Whether our own reader wrote it."""
        return NOT_UTF8 in self.header


@dataclass(frozen=True)
class LocalPart(Part):
    """A part on this machine."""

    path: Path


@dataclass(frozen=True)
class Parts:
    """The parts of a run, brought here one by one. ``aliases`` are other titles of the contract's columns."""

    run: Run
    contract: Contract
    aliases: Mapping[str, str]
    accept_drift: bool

    @cached_property
    def audits(self) -> tuple[CsvPartAudit, ...]:
        """Those of all parts of the run."""
        return tuple(self.run.parts())

    def fetch(self, audit: CsvPartAudit, path: Path) -> LocalPart:
        """Write a part to ``path``. DuckDB refuses the backslash dialect, so such a part is transcoded.

        Raises:
            DataError: it is not the audited part, or its header is not the contract's.

        """
        with path.open("wb") as stream:
            stream.writelines(self.run.chunks(audit))
        header, drift = self.header_of(audit, _titles(path))
        local = LocalPart(audit, header, drift, path)
        return self.transcode(local) if audit.dialect == "backslash" else local

    def transcode(self, local: LocalPart) -> LocalPart:
        """The part as our own reader reads it, beside it; raises ``DataError`` if it cannot."""
        path = local.path.with_suffix(".rfc4180.csv")
        with path.open("wb") as stream:
            try:
                stream.writelines(transcoded(chunks_of(local.path), local.header))
            except RecordError as error:
                raise self.run.damaged(local.audit, error.detail) from error
        return replace(local, path=path, header=(*local.header, NOT_UTF8))

    def header_of(self, audit: CsvPartAudit, titles: tuple[str, ...]) -> tuple[tuple[str, ...], HeaderDrift | None]:
        """The columns of a part with these titles, and how they differ; raises ``DataError`` if that is refused."""
        header = tuple(self.aliases.get(one, one) for one in titles)
        drift = self.contract.drift(header)
        if not drift:
            return header, None
        if drift.breaking or not self.accept_drift:
            raise DataError(
                f"the header of {audit.key} is not that of contract {self.contract.name} {self.contract.hash}: "
                f"{self._explain(titles, drift)}.",
                advice="Add the columns to the contract"
                + ("." if drift.breaking else ", or read the known ones by name: --accept-drift."),
            )
        return header, drift

    def _explain(self, titles: tuple[str, ...], drift: HeaderDrift) -> str:
        era = self.contract.era_of(titles)
        if era is not None:
            return f"it is the former header {era.name!r}, which cannot be staged"
        return f"{drift} (expected {list(drift.expected)}, found {[one[:80] for one in drift.found[:400]]})"


def damaged(store: ObjectStore, file: StoredFile, found: str) -> DataError:
    """The error for a staged file that is not what its document says."""
    return DataError(
        f"{store.url}/{file.key} is not the file that its document names: {found}.",
        advice="Delete its document below metadata/staging/ and the file, and run stage again.",
    )


def _titles(path: Path) -> tuple[str, ...]:
    with path.open(newline="", encoding="utf-8", errors="replace") as stream:
        return tuple(next(csv.reader(stream), []))


def transcoded(chunks: Iterable[bytes], header: Iterable[str]) -> Iterator[bytes]:
    r"""The lines of a part of either dialect in RFC 4180. What is no UTF-8 is written as ``\xff``, and marked."""
    yield write_fields([one.encode() for one in (*header, NOT_UTF8)]) + b"\n"
    for fields in fields_of(chunks):
        readable = [one.decode("utf-8", "backslashreplace").encode() for one in fields]
        yield write_fields([*readable, b"x" if readable != fields else b""]) + b"\n"
