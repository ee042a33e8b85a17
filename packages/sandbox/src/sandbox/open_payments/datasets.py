"""The yearly datasets, each described by one value: its columns, what they are drawn from, and its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sandbox.open_payments import general, ownership, research
from sandbox.open_payments.pools import Pool, dates, products


@dataclass(frozen=True)
class Dataset:
    """One kind of payment, published every year as a table of its own.

    `layout` names the blocks of a row in the order of its columns. A pool named again gives its next block; the
    other names are `mark` (Change_Type), `payer` (five columns), `record`, `year` and `published`.
    """

    name: str
    title: str  # in titles and themes
    file_part: str  # of the file's name
    pools: Mapping[str, Callable[[int, int], Pool]]  # by seed and year; rows draw from them in this order
    layout: str
    changed: str  # the pool that a changed row draws from again
    sorted_by: str  # the codes by which a payer's rows are ordered in the table
    ids: range  # of a year's first publication, counted from the year's first id; later ones follow
    counted: str  # its column of counts in the summary by payer
    summed: Mapping[str, str]  # its columns of dollars there, and what they are the sums of
    salt: str = ""  # keeps its random numbers apart from those of the others
    rows: Mapping[int, int] = field(default_factory=dict)  # by program year; General knows them by payer
    payers: float = 1.0  # share of General's payers that have any


_GENERAL = Dataset(
    name="general",
    title="General Payment",
    file_part="GNRL",
    pools={"recipients": general.recipients, "payments": general.payments, "dates": dates, "products": products},
    layout="mark recipients payer payments dates payments record products year published",
    changed="payments",
    sorted_by="dates",
    ids=range(60_000_000),
    counted="Trans_General",
    summed={"Total_Amount_General": "Total_Amount_of_Payment_USDollars"},
)
_RESEARCH = Dataset(
    name="research",
    title="Research Payment",
    file_part="RSRCH",
    pools={
        "recipients": research.recipients,
        "investigators": research.investigators,
        "payments": research.payments,
        "dates": dates,
        "products": research.products,
        "studies": research.studies,
    },
    layout="mark recipients investigators payer products payments dates payments studies payments record year published"
    " studies",
    changed="payments",
    sorted_by="dates",
    ids=range(90_000_000, 95_000_000),
    counted="Trans_Research",
    summed={"Total_Amount_Research": "Total_Amount_of_Payment_USDollars"},
    salt="research/",
    rows={2023: 1_080_157, 2024: 817_215},  # facts 3.3
    payers=0.35,
)
_OWNERSHIP = Dataset(
    name="ownership",
    title="Ownership Payment",
    file_part="OWNRSHP",
    pools={"physicians": ownership.physicians, "interests": ownership.interests},
    layout="mark physicians record year interests payer interests published",
    changed="interests",
    sorted_by="record",
    ids=range(97_000_000, 98_000_000),
    counted="Trans_Invested",
    summed={
        "Total_Amount_Investment": "Total_Amount_Invested_USDollars",
        "Total_Amount_Interest": "Value_of_Interest",
    },
    salt="ownership/",
    rows={2023: 4_448, 2024: 4_593},  # facts 3.3
    payers=0.1,
)
DATASETS = {one.name: one for one in (_GENERAL, _RESEARCH, _OWNERSHIP)}


def dataset_of(name: str) -> Dataset:
    """The dataset of a name; ValueError if there is none."""
    if name not in DATASETS:
        raise ValueError(f"there is no dataset {name!r}; there are: {', '.join(DATASETS)}")
    return DATASETS[name]
