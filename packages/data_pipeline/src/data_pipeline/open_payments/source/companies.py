"""Whether a company exists: a slice without rows is proved only of a company that CMS lists."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from data_pipeline.lake_layout.ids import shown_company
from etl_core.csv_stream.layout import excerpt
from etl_core.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data_pipeline.open_payments.source.api import Source

MOST_OFFERED = 5


def must_be_listed(source: Source, company_ids: Sequence[str]) -> None:
    """Raise ``NotFoundError`` with ids and names similar to the first company, if any, that CMS does not list."""
    names = dict(source.companies()) if company_ids else {}
    for company_id in company_ids:
        if company_id not in names:
            offered = similar(company_id, names)
            raise NotFoundError(
                f"there is no company {shown_company(company_id)}: it has no rows, and CMS does not list it.",
                advice=f"Similar ids: {', '.join(offered)}." if offered else "CMS lists no companies at the moment.",
            )


def similar(company_id: str, names: Mapping[str, str]) -> list[str]:
    """The ids that are most like this one, each with its name: those that end like it first."""

    def likeness(other: str) -> tuple[bool, float, str]:
        return (not other.endswith(company_id), -SequenceMatcher(None, company_id, other).ratio(), other)

    closest = sorted(names, key=likeness)[:MOST_OFFERED]
    return [f"{excerpt(one.encode())} ({excerpt(names[one].encode())})" for one in closest]
