"""The runs of all domains, as people see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.agency_files.documents import DOMAIN as AGENCY_FILES
from data_pipeline.customers.documents import DATASET as CUSTOMERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from data_pipeline.runs.listing import ListedRun

# As parts of keys; that of Open Payments is empty.
DOMAINS = ("", CUSTOMERS, AGENCY_FILES)


def lines_of(runs: Sequence[ListedRun]) -> Iterator[str]:
    """A line per run, in columns."""
    width = max((len(one.run_id) for one in runs), default=0)
    for one in runs:
        selection = dict(one.selection)
        what = " ".join(str(selection.pop(name)) for name in ("dataset", "year") if name in selection)
        parts = ", ".join(f"{name.replace('_', '-')} {_said(value)}" for name, value in selection.items())
        rows = "" if one.rows is None else f"{one.rows:,} rows"
        yield f"{one.run_id:<{width}}  {one.status:<9}  {rows:>15}  {what}{parts and ': ' + parts}"


def _said(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
