"""Options of jobs that select companies of an Open Payments dataset, and count or fetch their rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.open_payments.datasets import DATASETS, GENERAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data_pipeline.job import Context
    from data_pipeline.open_payments.facts import RunFact
    from data_pipeline.open_payments.ledger.documents import Selection
    from data_pipeline.open_payments.source.totals import Route, TotalsChoice

# The program year that CMS published last, for the Kubernetes examples.
NEWEST_YEAR = "2025"


def _company_id(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    from data_pipeline.lake_layout.ids import decoded_company, encoded_company

    if value is None:
        return None
    known = decoded_company(value)
    if known is None:
        encoded_company(value)
        known = value
    return known


def _company_ids(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str | None, ...]:
    for one in values:
        # Names have commas, so neither option takes a list; an id that has one can be given as in keys.
        if "," in one:
            raise click.BadParameter(f"{one!r} has a comma: repeat {parameter.opts[0]} for each company.")
    return tuple(_company_id(context, parameter, one) for one in values)


def _slice(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    from data_pipeline.open_payments.ledger.selection import parse_slice

    k, n = parse_slice(value)
    return f"{k}/{n}"


def _years(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    bounds = [re.fullmatch(r"(\d{4})(?:-(\d{4}))?", part) for part in text.split(",")]
    spans = [range(int(one[1]), int(one[2] or one[1]) + 1) for one in bounds if one is not None]
    if len(spans) < len(bounds) or not all(spans):
        raise click.BadParameter(f"{text!r} is neither 2021,2023 nor 2018-2024.")
    return tuple(dict.fromkeys(year for span in spans for year in span))


def _chosen_years(year: int | None, years: tuple[int, ...]) -> tuple[int, ...]:
    """The years of a command line; raises ``UsageError`` if both options were given, or none."""
    from etl_core.errors import UsageError

    if bool(years) == (year is not None):
        raise UsageError("name either --year or --years.")
    return years if year is None else (year,)


def selection_of(
    dataset: str,
    year: int,
    company_ids: tuple[str, ...] = (),
    max_files: int | None = None,
    slice_of: str | None = None,
) -> Selection:
    """The selection of a command line.

    Raises:
        UsageError: both companies and a part of all companies were selected.

    """
    from data_pipeline.open_payments.ledger.documents import Selection
    from etl_core.errors import UsageError

    if company_ids and (max_files is not None or slice_of is not None):
        raise UsageError("the companies are named; leave out --max-files and --slice.")
    return Selection(dataset=dataset, year=year, company_ids=company_ids, max_files=max_files, slice_of=slice_of)


def _selections(
    dataset: str, years: tuple[int, ...], company_ids: tuple[str, ...], max_files: int | None, slice_of: str | None
) -> list[Selection]:
    return [selection_of(dataset, year, company_ids, max_files, slice_of) for year in years]


def _one_company(dataset: str, year: int, company_id: str) -> Selection:
    return selection_of(dataset, year, (company_id,))


def with_companies(context: Context, selections: Sequence[Selection], names: Sequence[str]) -> list[Selection]:
    """The selections with the companies of these names, too; raises as ``company_named`` and ``selection_of``."""
    from data_pipeline.open_payments.ledger.selection import company_named

    listed: list[tuple[str, str]] = []
    if names:
        with context.progress.showing("reading the names of companies"):
            listed = list(context.source.companies())
    found = tuple(company_named(listed, name) for name in names)
    return [
        selection_of(one.dataset, one.year, one.chosen_ids + found, one.max_files, one.slice_of) for one in selections
    ]


def _totals_choice(totals_from: Route | None, rescrape_totals: bool, add_year: bool) -> TotalsChoice:
    from data_pipeline.open_payments.source.totals import TotalsChoice

    return TotalsChoice(rescrape=rescrape_totals, add_year=add_year, route=totals_from)


def show(context: Context, fact: RunFact) -> int:
    """Print the fact of a run, with its text on stderr; the exit code of the job."""
    from data_pipeline.open_payments.summary import text_of

    context.explain(*text_of(fact).split("\n"))
    if fact.status in ("completed", "already done"):
        context.suggest("stage", "--run-id", fact.run_id)
    elif fact.failed:
        context.suggest("rerun", "--run-id", fact.run_id, "--failed")
    context.print_document(fact)
    return fact.exit_code


dataset = click.option(
    "--dataset",
    type=click.Choice(tuple(DATASETS)),
    default=GENERAL.name,
    show_default=True,
    help="Dataset of the family.",
)
year = click.option("--year", type=int, required=True, help="Program year, such as 2024.")
company_id = click.option("--company-id", callback=_company_id, help="One company, by its id at the source or in keys.")
company_ids = click.option(
    "--company-id", "company_ids", multiple=True, callback=_company_ids,
    help="Only this company, by its id at the source or in keys; repeat it for several.",
)  # fmt: skip
required_company_id = click.option(
    "--company-id",
    required=True,
    callback=_company_id,
    help="The company, by its id: as the source has it, or as in keys (x2d31).",
)
company_names = click.option(
    "--company-name", "company_names", multiple=True,
    help="Only the company of this name, or of a part of it that no other name has; repeat it for several."
    " Asks the source.",
)  # fmt: skip
max_files = click.option(
    "--max-files",
    type=click.IntRange(min=1),
    help="Only the first N companies by ascending id that have rows.",
)
slice_of = click.option(
    "--slice", "slice_of", metavar="K/N", callback=_slice, help="Only every N-th company, from the K-th."
)
strategy = click.option(
    "--strategy", type=click.Choice(("auto", "window", "pages")), default="auto", show_default=True,
    help="window: one request per window; pages: sorted pages of 5,000; auto: pages where long answers are cut.",
)  # fmt: skip
totals_from = click.option(
    "--totals-from", type=click.Choice(("grouped", "entities")),
    help="How to count rows: one grouped count, or company by company. Default: grouped, else entities.",
)  # fmt: skip
rescrape_totals = click.option("--rescrape-totals", is_flag=True, help="Count again even if the cache is fresh.")
add_year = click.option(
    "--add-year-if-missing/--no-add-year-if-missing", "add_year", default=True, show_default=True,
    help="Add the year to a fresh cache that lacks it.",
)  # fmt: skip
trust_count = click.option(
    "--trust-count",
    is_flag=True,
    help="Run although CMS's summary says that the table lacks rows; such a run ends partial.",
)

one_or_more_years = frame.as_one(
    "years",
    _chosen_years,
    click.option("--year", type=int, help="Program year, such as 2024."),
    click.option(
        "--years", callback=_years, metavar="YEARS", help="Several, one after the other: 2018-2024 or 2021,2023."
    ),
)
selection = frame.as_one("selection", selection_of, dataset, year, company_ids, max_files, slice_of)
selections = frame.as_one("selections", _selections, dataset, one_or_more_years, company_ids, max_files, slice_of)
one_company = frame.as_one("selection", _one_company, dataset, year, required_company_id)
totals = frame.as_one("totals", _totals_choice, totals_from, rescrape_totals, add_year)
running = frame.together(trust_count, frame.dry_run, frame.run_id, frame.lake, frame.streams)
