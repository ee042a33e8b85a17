"""Which companies a run takes, and what that will cost: pure decisions, from counts and what is proved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_pipeline.lake_layout.ids import in_order, shown_company
from data_pipeline.open_payments.ledger.documents import PlannedCompany, Selection
from etl_core.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from data_pipeline.open_payments.datasets import Dataset

# What users of the source measured: 2 MB/s a stream, 1 to 3 s before the first byte.
BYTES_PER_SECOND_PER_STREAM = 2_000_000
SECONDS_PER_REQUEST = 2.0
MOST_NAMES_SHOWN = 8
_SLICE = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)")


def parse_slice(text: str) -> tuple[int, int]:
    """``K/N`` as two numbers, 1 <= K <= N."""
    match = _SLICE.fullmatch(text.strip())
    if not match or int(match[1]) > int(match[2]):
        raise UsageError(
            f"--slice {text!r} is not K/N with 1 <= K <= N, such as 2/4 for every fourth company from the second."
        )
    return int(match[1]), int(match[2])


def company_named(companies: Iterable[tuple[str, str]], text: str) -> str:
    """The id of the company that is called so, or whose name alone has this text; case does not matter.

    Raises:
        NotFoundError: no name has it. UsageError: several names have it; the message lists them.

    """
    wanted = text.casefold()
    found = [(company_id, name) for company_id, name in companies if wanted in name.casefold()]
    same = [one for one in found if one[1].casefold() == wanted]
    chosen = same or found
    if len(chosen) == 1:
        return chosen[0][0]
    if not chosen:
        raise NotFoundError(f"no company is called {text!r}.", advice="The job companies lists them, with --name.")
    listed = ", ".join(f"{shown_company(company_id)} {name}" for company_id, name in chosen[:MOST_NAMES_SHOWN])
    more = f" and {len(chosen) - MOST_NAMES_SHOWN:,} more" if len(chosen) > MOST_NAMES_SHOWN else ""
    raise UsageError(
        f"{len(chosen):,} companies are called like {text!r}: {listed}{more}.", advice="Give --company-id."
    )


def select(rows: Mapping[str, int | None], selection: Selection) -> tuple[PlannedCompany, ...]:
    """The companies of a selection, in ascending order of id.

    Companies chosen by id are taken whether or not the totals know them.
    """
    if selection.chosen_ids:
        return tuple(PlannedCompany(company_id=one, rows=rows.get(one, 0)) for one in selection.chosen_ids)
    chosen = sorted(rows, key=in_order)
    if selection.slice_of is not None:
        k, n = parse_slice(selection.slice_of)
        chosen = chosen[k - 1 :: n]
    if selection.max_files is not None:
        chosen = chosen[: selection.max_files]
    return tuple(PlannedCompany(company_id=company_id, rows=rows[company_id]) for company_id in chosen)


@dataclass(frozen=True)
class Forecast:
    """What is still to do, and what it will cost."""

    companies: int
    already_proved: int
    rows: int
    windows: int
    requests: int
    bytes: int
    seconds: float


def forecast(dataset: Dataset, companies: Iterable[PlannedCompany], proved: set[str], *, streams: int) -> Forecast:
    """Requests, bytes and time that the plan will take at the rates users of the source measured.

    One request a window for its rows and one for the count after; a slice that is cut has two
    counts by date instead, before and after (more than one page only past 500 dates: never).
    """
    planned = list(companies)
    todo = [company for company in planned if company.company_id not in proved]
    windows = [len(dataset.cut(company.rows or 0)) for company in todo]
    requests = sum(number + (2 if number > 1 else 1) for number in windows)
    rows = sum(company.rows or 0 for company in todo)
    in_all = rows * dataset.bytes_per_row
    busy = in_all / BYTES_PER_SECOND_PER_STREAM + requests * SECONDS_PER_REQUEST
    # One window cannot be spread over streams.
    longest = max((-(-(company.rows or 0) // number) for company, number in zip(todo, windows, strict=True)), default=0)
    seconds = max(busy / streams, longest * dataset.bytes_per_row / BYTES_PER_SECOND_PER_STREAM)
    return Forecast(
        companies=len(planned),
        already_proved=len(planned) - len(todo),
        rows=rows,
        windows=sum(windows),
        requests=requests,
        bytes=in_all,
        seconds=round(seconds, 1),
    )


def _shown(company_ids: Sequence[str]) -> str:
    more = len(company_ids) - MOST_NAMES_SHOWN
    return ", ".join(map(shown_company, company_ids[:MOST_NAMES_SHOWN])) + (f" and {more:,} more" if more > 0 else "")


def describe(selection: Selection) -> str:
    """A selection in words."""
    head = f"{selection.dataset} {selection.year}, "
    if selection.chosen_ids:
        return f"{head}{'companies' if selection.company_ids else 'company'} {_shown(selection.chosen_ids)}"
    if selection.rerun_of is not None:
        return f"{head}what run {selection.rerun_of} left {selection.rerun_what}"
    part = f", part {selection.slice_of} of them" if selection.slice_of else ""
    first = {None: "all companies", 1: "the first company"}
    return head + first.get(selection.max_files, f"the first {selection.max_files} companies") + part
