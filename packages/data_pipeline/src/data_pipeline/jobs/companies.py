"""List the companies of a program year by their rows, as in: companies -- --year 2024 --top 20 --name pfizer.

Counts are those that runs plan with: of at most ten days ago, else asked again. Names come from the source.

Reads the source: some seven requests for names, and what build_totals asks if there are no fresh counts. Writes
what build_totals writes. The table goes to stderr, its fact to stdout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from data_pipeline.job import Context
    from data_pipeline.open_payments.source.totals import TotalsChoice


class Company(NamedTuple):
    """``rows`` of the year; None if the source could not count them."""

    company_id: str
    name: str
    rows: int | None


@frame.job(
    options.dataset,
    options.year,
    click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many."),
    click.option("--name", default="", help="Only those whose name has this text, in any case."),
    options.totals,
    frame.lake,
    frame.streams,
)
def command(context: Context, dataset: str, year: int, top: int, name: str, totals: TotalsChoice) -> int:
    fact, found = count(context, dataset, year, name, totals)
    context.explain(*lines_of(found[:top], len(found), name))
    if found:
        context.suggest("build", "--dataset", dataset, "--year", str(year), "--company-id", found[0].company_id)
    context.print_fact(**fact, largest=[one._asdict() for one in found[:top]])
    return 0


def count(
    context: Context, dataset: str, year: int, name: str, choice: TotalsChoice
) -> tuple[dict[str, Any], list[Company]]:
    """The companies of a year that have rows, those of a name if one is given, and what the fact says of all."""
    from data_pipeline.open_payments.datasets import dataset_named

    resolved = context.pipeline.catalogue.resolve(dataset_named(dataset), year)
    counted = context.pipeline.totals.ensure(resolved, choice)
    if counted.how != "cached":
        context.begin()
    with context.progress.showing("reading the names of companies"):
        found = ranked(counted.rows, dict(context.source.companies()), name)
    fact = {
        "status": "listed",
        "dataset": dataset,
        "year": year,
        "release": resolved.release.name,
        "companies": len(found),
        "rows": sum(one.rows or 0 for one in found),
    }
    return fact, found


def ranked(rows: Mapping[str, int | None], names: Mapping[str, str], text: str) -> list[Company]:
    """The companies that have rows, the largest first; those of a name, if one is given."""
    every = (Company(one, names.get(one, ""), count) for one, count in rows.items() if count != 0)
    found = [one for one in every if text.casefold() in one.name.casefold()]
    return sorted(found, key=lambda one: (-(one.rows or 0), one.company_id))


def lines_of(companies: Sequence[Company], found: int, text: str) -> Iterator[str]:
    """A line per company, in columns; ``text`` is what was looked for in names."""
    if not companies:
        yield "no company has rows" + (f" and {text!r} in its name" if text else "")
    width = max((len(one.company_id) for one in companies), default=0)
    for one in companies:
        yield f"{one.company_id:<{width}}  {'?' if one.rows is None else f'{one.rows:,}':>10} rows  {one.name}"
    if found > len(companies):
        yield f"and {found - len(companies):,} more; --top shows more of them"


JOB = (frame.entrypoint_of(command, "companies"), "List the companies of a program year by their rows")
KUBERNETES = {"args": ["--year", options.NEWEST_YEAR]}
