"""What a person reads at the end of a build: the years, the largest companies, and where the answers are. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from data_pipeline.reports.figures import Figures


@dataclass(frozen=True)
class Page:
    """The page of a year, where a browser opens it, and the figures on it."""

    figures: Figures
    uri: str
    key: str


def lines_of(pages: Sequence[Page], marts: str, ask: str) -> Iterator[str]:
    """Of the years in their order; the companies are those of the last one.

    ``marts`` is where the database is, ``ask`` the command that asks the tables.
    """
    yield ""
    if len(pages) > 1:
        yield from _table_of_years(pages)
        yield ""
    newest = pages[-1].figures
    yield from _largest_companies(newest)
    yield ""
    source = newest.source
    if not source.closed:
        yield f"{source.year} is not complete: these are the companies of run {source.run_id}."
    for one in pages:
        yield f"page       {one.uri}"
    yield f"marts      {marts}"
    yield f"ask        {ask}"


def _table_of_years(pages: Sequence[Page]) -> Iterator[str]:
    yield f"{'year':6} {'':12} {'records':>12} {'US dollars':>20}  release"
    for one in (page.figures.source for page in pages):
        state = "complete" if one.closed else "not complete"
        yield f"{one.year:<6} {state:12} {one.rows:>12,} {one.amount_usd:>20,.2f}  {one.release}"


def _largest_companies(figures: Figures) -> Iterator[str]:
    yield f"The largest companies of {figures.source.dataset} {figures.source.year}"
    yield f"{'':4}{'US dollars':>18} {'payments':>11}  company"
    for rank, one in enumerate(figures.largest_companies, 1):
        yield f"{rank:>3} {one.amount_usd:>18,.2f} {one.payments:>11,}  {one.label} ({one.more})"
