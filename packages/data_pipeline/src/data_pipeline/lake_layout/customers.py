"""The keys of customers: the pages of a run as they came, and the extract made of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from data_pipeline.lake_layout.ids import checked_run_id, numbered
from data_pipeline.lake_layout.runs import folder

if TYPE_CHECKING:
    from datetime import datetime

COMMITS = "metadata/commits/customers/all/"
SCOPE = "customers"
_PAGE = re.compile(r"/pages/sweep-([1-9][0-9]{0,3})/page-([0-9]{6})\.json\.gz$")


def _day(planned_at: datetime) -> str:
    return f"raw/customers/date={planned_at:%Y-%m-%d}/"


def pages(run_id: str, planned_at: datetime) -> str:
    """Prefix of the pages of a run."""
    return f"{_day(planned_at)}run_id={checked_run_id(run_id)}/pages/"


def page(prefix: str, sweep: int, number: int) -> str:
    """One page below the prefix of its run: the answer as it came, gzipped."""
    return f"{prefix}sweep-{sweep}/page-{number:06d}.json.gz"


def place_of_page(key: str) -> tuple[int, int] | None:
    """The sweep and the number of the page under ``key``; None for any other key."""
    match = _PAGE.search(key)
    return (int(match[1]), int(match[2])) if match else None


def unit(number: int) -> str:
    """The folder of the failed attempts at a page."""
    return f"page={number:06d}"


def extract(planned_at: datetime, number: int = 1) -> str:
    """The CSV of a run; ``number`` counts those that killed processes left beside it with other content."""
    return f"{_day(planned_at)}customers_extract_{planned_at:%Y%m%d_%H%M%S}{numbered(number)}.csv"


def report(run_id: str) -> str:
    """What the run did, for people."""
    return f"{folder(run_id)}execution_report.txt"
