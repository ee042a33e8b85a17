"""The summaries by reporting entity and by teaching hospital: what the rows of the payments add up to (facts 2.4).

They are files of their own, whole while a table of payments is still being imported. To count rows takes no rows;
dollars and hospitals are added up once somebody reads them, and each slice of a release only once.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from sandbox.open_payments.columns import columns, position
from sandbox.open_payments.companies import payer
from sandbox.open_payments.datasets import DATASETS
from sandbox.open_payments.releases import Release
from sandbox.open_payments.settings import Settings
from sandbox.open_payments.slices import Block, Later, Slice, Values

_CCN = "Teaching_Hospital_CCN"
_ADDRESS = (
    "Teaching_Hospital_Name",
    "Recipient_Primary_Business_Street_Address_Line1",
    "Recipient_Primary_Business_Street_Address_Line2",
    "Recipient_City",
    "Recipient_State",
    "Recipient_Zip_Code",
)
# Columns of dollars and of payments in the summary by hospital.
_OF_HOSPITALS = {
    "general": ("General_Total_Payment", "General_Total_Transactions"),
    "research": ("Research_Total_Payment", "Research_Total_Transactions"),
}
_DOLLARS = [title for dataset in DATASETS.values() for title in dataset.summed]


@dataclass
class Sums:
    """What the rows of one payer add up to: cents by column of the summary by payer, and by hospital with payments."""

    cents: dict[str, int] = field(default_factory=dict)
    hospitals: dict[str, tuple[int, int]] = field(default_factory=dict)
    addresses: dict[str, Values] = field(default_factory=dict)


class Summaries:
    """Both summaries of a world; `current` gives the release of a dataset's year, if there is one."""

    def __init__(self, current: Callable[[str, int], Release | None], read: Callable[[Release, str], Slice]) -> None:
        self._current, self._read = current, read
        self._sums: dict[tuple[str, int, int, str], Sums] = {}
        self._lock = threading.Lock()

    def by_payer(self, settings: Settings) -> Slice:
        """A row per payer and year, the rest of its columns zero. Its dollars are added up when they are read."""
        names, counts, keys = [], [], []
        for year in settings.years:
            rows = {name: release.rows for name in DATASETS if (release := self._current(name, year))}
            shown = str(year - 1 if settings.summary == "without the year" else year)
            for company in sorted({key for known in rows.values() for key, count in known.items() if count}):
                if _is_missing(settings, company):
                    continue
                texts = {column.title: "0" for column in columns("summary")[4 + len(_DOLLARS) :]}
                if settings.summary != "zero":
                    texts |= {DATASETS[name].counted: str(known.get(company, 0)) for name, known in rows.items()}
                counts.append(tuple((texts | {"Program_Year": shown}).values()))
                names.append(payer(company)[1:])
                keys.append((year, company))
        dollars = Later(lambda: [self._dollars(settings, *key) for key in keys])
        every = range(len(names))
        return Slice([(Block(names), every), (Block(dollars, width=len(_DOLLARS)), every), (Block(counts), every)])

    def _dollars(self, settings: Settings, year: int, company: str) -> Values:
        cents = dict.fromkeys(_DOLLARS, 0)
        for name in DATASETS if settings.summary != "zero" else ():
            cents |= self._of(name, year, company).cents
        cents["Total_Amount_General"] += settings.summary_mistakes.get(company) or 0
        return tuple(_usd(one) for one in cents.values())

    def by_hospital(self, settings: Settings) -> list[Values]:
        """A row per hospital and year that any payer paid, its disputes zero."""
        found: list[Values] = []
        for year in settings.years:
            addresses: dict[str, Values] = {}
            texts: defaultdict[str, dict[str, str]] = defaultdict(
                lambda: {column.title: "0" for column in columns("hospitals")}
            )
            for name, (dollars, payments) in _OF_HOSPITALS.items():
                for ccn, (cents, count) in self._hospitals(name, year, addresses).items():
                    mistake = (settings.summary_mistakes.get(ccn) or 0) if name == "general" else 0
                    texts[ccn] |= {dollars: _usd(cents + mistake), payments: str(count)}
            for ccn in sorted(texts):
                known = dict(zip(texts[ccn], (ccn, *addresses[ccn]), strict=False))
                if not _is_missing(settings, ccn):
                    found.append(tuple((texts[ccn] | known | {"Program_Year": str(year)}).values()))
        return found

    def _hospitals(self, name: str, year: int, addresses: dict[str, Values]) -> Mapping[str, tuple[int, int]]:
        totals: dict[str, tuple[int, int]] = {}
        release = self._current(name, year)
        for company, rows in release.rows.items() if release else ():
            sums = self._of(name, year, company) if rows else Sums()
            for ccn, (cents, count) in sums.hospitals.items():
                before = totals.get(ccn, (0, 0))
                totals[ccn] = before[0] + cents, before[1] + count
                addresses[ccn] = min(sums.addresses[ccn], addresses.get(ccn, sums.addresses[ccn]))
        return totals

    def _of(self, name: str, year: int, company: str) -> Sums:
        """The sums of a payer's rows in the current release."""
        release = self._current(name, year)
        if release is None or not release.rows.get(company):
            return Sums()
        key = name, year, release.number, company
        with self._lock:
            if key not in self._sums:
                self._sums[key] = _summed(name, self._read(release, company))
            return self._sums[key]


def _summed(name: str, part: Slice) -> Sums:
    sums = Sums()
    for title, column in DATASETS[name].summed.items():
        texts = part.texts(position(name, column))
        sums.cents[title] = sum(_cents(text) * times for text, times in Counter(texts).items())
    if name not in _OF_HOSPITALS:
        return sums
    (column,) = DATASETS[name].summed.values()
    shown: Sequence[Sequence[str]] = [part.texts(position(name, one)) for one in (_CCN, column, *_ADDRESS)]
    for (ccn, text, *address), times in Counter(zip(*shown, strict=True)).items():
        if ccn:
            cents, count = sums.hospitals.get(ccn, (0, 0))
            sums.hospitals[ccn] = cents + _cents(text) * times, count + times
            sums.addresses[ccn] = min(tuple(address), sums.addresses.get(ccn, tuple(address)))
    return sums


def _is_missing(settings: Settings, entity: str) -> bool:
    return entity in settings.summary_mistakes and settings.summary_mistakes[entity] is None


def _cents(text: str) -> int:
    return int(Decimal(text or 0) * 100)


def _usd(cents: int) -> str:
    return f"{Decimal(cents) / 100:.2f}"
