"""Two proved releases of a year compared, company by company and record by record."""

from __future__ import annotations

import csv
import hashlib
import io
from array import array
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from data_pipeline import lake_layout
from data_pipeline.lake_layout.ids import shown_company
from data_pipeline.open_payments.ledger.audits import content_hash_of
from data_pipeline.open_payments.ledger.committed import proved_slices
from data_pipeline.open_payments.ledger.schemas import read_schema
from etl_core.csv_stream.reader import RecordError, RecordReader
from etl_core.errors import ConflictError, DataError, NotFoundError, UsageError
from etl_core.lake import content_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from data_pipeline.open_payments.ledger.committed import ProvedSlice
    from data_pipeline.open_payments.ledger.documents import Release
    from etl_core.csv_stream.reader import Record
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress

Verdict = Literal["added", "changed", "unchanged"]
# What CMS's own column says happened to a record since the publication before.
CLAIMS: dict[bytes, Verdict] = {b"NEW": "added", b"ADD": "added", b"CHANGED": "changed", b"UNCHANGED": "unchanged"}
MOST_EXAMPLES = 5
# Reports of one pair that differ, because more slices were proved in between.
MOST_REPORTS = 1000
REPORT_COLUMNS = ("company_id", "added", "removed", "changed", "unchanged", "change_type_disagreements", "note")


def pair_of(known: Sequence[Release], older: str | None, newer: str | None) -> tuple[Release, Release]:
    """The two to compare: those named, else the newest two.

    Raises:
        NotFoundError: there are no two, or none of that name. UsageError: the first is not the older.

    """
    names = [one.name for one in known]
    have = f"committed runs name {', '.join(names) or 'none'}"
    if len(known) < 2:
        raise NotFoundError(
            f"two releases of the year are needed, {have}.", advice="Run run_pipeline after the next publication."
        )
    for name in filter(None, (older, newer)):
        if name not in names:
            raise NotFoundError(f"there is no release {name} of the year in the lake; {have}.")
    last = names.index(newer) if newer else len(names) - 1
    first = names.index(older) if older else last - 1
    if not 0 <= first < last:
        raise UsageError(f"--from must name an older release than --to; from old to new, {have}.")
    return known[first], known[last]


class Digests:
    """The records of the older slice: 17 bytes each, in two arrays in the order of the first.

    A record id below 10**18 (all there are today) stands for itself, any other text for 63 bits of
    a hash: one slice in five million with 1.7 million such ids has two that are mistaken.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        entries = sorted(_number_of(one.key) << 64 | int.from_bytes(one.digest[:8]) for one in records)
        self._ids = array("Q", (entry >> 64 for entry in entries))
        self._digests = array("Q", (entry & (1 << 64) - 1 for entry in entries))
        self._seen = bytearray(len(entries))

    def asked(self, times: int) -> int:
        """Records on which so many verdicts were asked: 0, 1, or 2 for more than one."""
        return self._seen.count(times)

    def verdict_on(self, record: Record) -> Verdict:
        """What became of a record of the newer slice."""
        number = _number_of(record.key)
        at = bisect_left(self._ids, number)
        if at == len(self._ids) or self._ids[at] != number:
            return "added"
        self._seen[at] = min(self._seen[at] + 1, 2)
        return "unchanged" if self._digests[at] == int.from_bytes(record.digest[:8]) else "changed"


def _number_of(record_id: bytes) -> int:
    if len(record_id) <= 18 and record_id.isdigit() and record_id[:1] != b"0":
        return int(record_id)
    return int.from_bytes(hashlib.sha256(record_id).digest()[:8]) | 1 << 63


@dataclass
class Difference:
    """What became of one company; None where that is not known."""

    company_id: str
    added: int | None = None
    removed: int | None = None
    changed: int | None = None
    unchanged: int | None = None
    change_type_disagreements: int | None = None
    note: str = ""


def difference(company_id: str, older: Digests | None, newer: Iterable[Record], remark: str = "") -> Difference:
    """Compare a slice with the older one; without one, both are known to have the same content."""
    counts: Counter[Verdict] = Counter()
    disagreements: int | None = 0
    notes = [remark] if remark else []
    for record in newer:
        verdict: Verdict = "unchanged" if older is None else older.verdict_on(record)
        counts[verdict] += 1
        if record.mark is None:
            disagreements = None
        elif disagreements is not None and CLAIMS.get(record.mark) != verdict:
            disagreements += 1
            if disagreements <= MOST_EXAMPLES:
                key, claim = (text.decode("utf-8", "surrogateescape") for text in (record.key, record.mark))
                notes.append(f"record {key} says {claim}, is {verdict}")
    if older is not None and older.asked(2):
        raise DataError(
            f"record ids of company {shown_company(company_id)} stand in several parts of the newer release."
        )
    removed = 0 if older is None else older.asked(0)
    numbers = counts["added"], removed, counts["changed"], counts["unchanged"]
    return Difference(company_id, *numbers, disagreements, "; ".join(notes))


def fact_of(found: Sequence[Difference], pair: tuple[Release, Release]) -> dict[str, Any]:
    """All companies together. What one release alone proves says nothing of either."""
    both = [one for one in found if one.added is not None]
    totals = {name: sum(getattr(one, name) or 0 for one in both) for name in REPORT_COLUMNS[1:-1]}
    same = not any(totals[name] for name in ("added", "removed", "changed"))
    older, newer = pair
    return {
        "dataset": newer.dataset,
        "year": newer.year,
        "from": older.name,
        "to": newer.name,
        "companies": len(found),
        "in_one_only": len(found) - len(both),
        **totals,
        "change_type_unchecked": sum(one.change_type_disagreements is None for one in found),
        "nothing_changed": same and len(both) == len(found),
    }


def table_of(fact: Mapping[str, Any]) -> str:
    """The totals for a person; which records CMS's own column contradicts stands in the report."""
    unlike, unchecked = fact["change_type_disagreements"], fact["change_type_unchecked"]
    lines = [
        f"releases     {fact['from']} to {fact['to']} of {fact['dataset']} {fact['year']}",
        f"companies    {fact['companies']:,}, {fact['in_one_only']:,} of them proved in only one of the two",
        *(f"{name:<12} {fact[name]:,}" for name in ("added", "removed", "changed", "unchanged")),
        f"Change_Type  {unlike:,} records say something else; not checked in {unchecked:,} companies",
        f"report       {fact['report']}",
    ]
    if fact["nothing_changed"]:
        lines.append("republished, nothing changed")
    return "\n".join(lines)


def publish_report(
    store: ObjectStore, pair: tuple[Release, Release], found: Iterable[Difference], company_id: str | None
) -> str:
    """Write the report, create-only, and give its key; a later one that differs stands beside the first."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(REPORT_COLUMNS)
    writer.writerows([getattr(one, column) for column in REPORT_COLUMNS] for one in found)
    older, newer = pair
    body = text.getvalue().encode("utf-8", "surrogateescape")
    for number in range(1, MOST_REPORTS):
        key = lake_layout.open_payments.diff(newer.dataset, newer.year, older.name, newer.name, company_id, number)
        if store.put_new(key, body).sha256 == content_of(body):
            return key
    raise ConflictError(f"{MOST_REPORTS} other reports of {older.name} and {newer.name} are there.")


class Comparison:
    """Two releases of one lake, compared a company at a time."""

    def __init__(
        self, store: ObjectStore, pair: tuple[Release, Release], *, progress: Progress, check_stop: Callable[[], None]
    ) -> None:
        self._store = store
        self._pair = pair
        self._columns = [read_schema(store, one) for one in pair]
        self._slices = [proved_slices(store, one) for one in pair]
        self._progress = progress
        self._check_stop = check_stop

    def run(self, company_id: str | None = None, *, check_change_type: bool = False) -> list[Difference]:
        """Every company that either release proves, by ascending id, or one of them.

        ``check_change_type`` reads newer slices for their Change_Type even where the content is equal.

        Raises:
            NotFoundError: neither proves that company. DataError: a part is not the one proved.

        """
        chosen = sorted({one for side in self._slices for one in side}, key=lambda one: (len(one), one))
        if company_id is not None:
            if company_id not in chosen:
                raise NotFoundError(f"neither release has a proved slice of company {shown_company(company_id)}.")
            chosen = [company_id]
        rows = sum(side[one].rows for side in self._slices for one in chosen if one in side)
        names = " with ".join(one.name for one in self._pair)
        self._progress.start(f"comparing {names}", units=len(chosen), rows=rows)
        try:
            return [self._compared(one, check_change_type=check_change_type) for one in chosen]
        finally:
            self._progress.stop()

    def _compared(self, company_id: str, *, check_change_type: bool) -> Difference:
        self._check_stop()
        older, newer = (side.get(company_id) for side in self._slices)
        if older is None or newer is None:
            only, release = (newer, self._pair[1]) if older is None else (older, self._pair[0])
            done = Difference(company_id, note=f"proved in {release.name} only")
            unread = [only]
        elif content_hash_of(older.parts) != content_hash_of(newer.parts):
            remark = "" if self._columns[0].titles == self._columns[1].titles else "the columns of the releases differ"
            done = difference(company_id, Digests(self._records(0, older)), self._records(1, newer), remark)
            unread = []
        elif check_change_type:
            done = difference(company_id, None, self._records(1, newer), "content hash equal")
            unread = [older]
        else:
            done = Difference(company_id, 0, 0, 0, newer.rows, None, "content hash equal, not read")
            unread = [older, newer]
        self._progress.advance(units=1, rows=sum(one.rows for one in unread if one))
        return done

    def _records(self, side: int, one: ProvedSlice) -> Iterator[Record]:
        for part in one.parts:
            reader = RecordReader(
                self._columns[side].layout(part.release.year, part.company_id, part.window), handing_out=True
            )
            try:
                for chunk in one.run.chunks(part):
                    self._check_stop()
                    reader.feed(chunk)
                    taken = reader.take()
                    yield from taken
                    self._progress.advance(rows=len(taken), bytes_read=len(chunk))
                reader.finish()
            except RecordError as error:
                raise one.run.damaged(part, error.detail) from error
