"""Options that several jobs share, and the frame every job of ours runs in."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from data_pipeline.open_payments.ledger.documents import Selection
    from data_pipeline.open_payments.source.totals import Route, TotalsChoice

DATASETS = ("general-payments",)
SETTINGS = ("run_id", "lake_url", "source_max_streams")
SELECTION = ("dataset", "year", "company_id", "max_files", "slice_of")
TOTALS = ("totals_from", "rescrape_totals", "add_year")


def entrypoint_of(command: click.Command, job: str) -> Callable[[list[str]], int]:
    """``entrypoint(argv) -> int`` of a click command; its errors carry the full command line."""

    def entrypoint(argv: list[str]) -> int:
        status = command.main(args=argv, prog_name=f"data-pipeline run {job} --", standalone_mode=False)
        return int(status or 0)

    return entrypoint


def job_command(**settings: Any) -> Callable[[Callable[..., Any]], click.Command]:  # noqa: ANN401 - click's own
    """A click command with the frame of ours: -h, wide help."""
    return click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, **settings)


class Number(click.FloatRange):
    """A number in a range; ``nan`` is in none, and nothing is waited for without end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number to reckon with.", param, ctx)
        return number


def job(*options: Callable[[Any], Any]) -> Callable[[Callable[..., int]], click.Command]:
    """A job as a click command: its help is its module's docstring, its name the module's.

    The function is given the ``context`` of its run, opened with what of ``SETTINGS`` the command
    line has, and what else there is by name; options that select companies come as one
    ``selection``, those of the totals as one ``totals``.
    """

    def decorate(function: Callable[..., int]) -> click.Command:
        @functools.wraps(function)
        def in_context(**given: Any) -> int:  # noqa: ANN401 - click's
            from data_pipeline.wiring import job_context

            if "dataset" in given:
                given["selection"] = selection_of(**_taken(given, SELECTION))
            if "totals_from" in given:
                given["totals"] = _totals_choice(**_taken(given, TOTALS))
            name = function.__module__.rpartition(".")[2]
            with job_context(name, **_taken(given, SETTINGS)) as context:
                return function(context, **given)

        return job_command(help=function.__globals__["__doc__"])(together(*options)(in_context))

    return decorate


def _taken(given: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: given.pop(name) for name in names if name in given}


def together(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options in the order they are written."""

    def decorate(function: Any) -> Any:  # noqa: ANN401 - a click decorator
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def company_id_callback(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    from data_pipeline.lake_layout import checked_company_id

    return None if value is None else checked_company_id(value)


def _slice(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    from data_pipeline.open_payments.ledger.selection import parse_slice

    k, n = parse_slice(value)
    return f"{k}/{n}"


dataset = click.option(
    "--dataset",
    type=click.Choice(DATASETS),
    default=DATASETS[0],
    show_default=True,
    help="Dataset of the family.",
)
year = click.option("--year", type=int, required=True, help="Program year, such as 2024.")
company_id = click.option("--company-id", callback=company_id_callback, help="One company, by its id (digits).")
max_files = click.option(
    "--max-files",
    type=click.IntRange(min=1),
    help="Only the first N companies by ascending id that have rows.",
)
slice_of = click.option(
    "--slice", "slice_of", metavar="K/N", callback=_slice, help="Only every N-th company, from the K-th."
)
run_id = click.option(
    "--run-id",
    help="Name of the run; where that one is over, NAME-2 and so on. Default: the unfinished run of this selection,"
    " else the time in UTC.",
)
lake = click.option(
    "--lake", "lake_url", help="The lake, in place of LAKE_URL: a folder, file:///… or s3://bucket/prefix."
)
streams = click.option(
    "--streams", "source_max_streams", type=click.IntRange(min=1, max=64),
    help="Concurrent requests to the source, in place of SOURCE_MAX_STREAMS (8).",
)  # fmt: skip
strategy = click.option(
    "--strategy", type=click.Choice(("auto", "window", "pages")), default="auto", show_default=True,
    help="window: one request per window; pages: sorted pages of 5,000; auto: pages where long answers are cut.",
)  # fmt: skip
dry_run = click.option(
    "--dry-run", is_flag=True, help="Print the plan and what it would cost; fetch and write nothing of it."
)
totals_from = click.option(
    "--totals-from", type=click.Choice(("grouped", "entities")),
    help="How to count: one grouped count, or company by company. Default: grouped, else entities.",
)  # fmt: skip
rescrape_totals = click.option("--rescrape-totals", is_flag=True, help="Count anew whatever the cache holds.")
add_year = click.option(
    "--add-year-if-missing/--no-add-year-if-missing", "add_year", default=True, show_default=True,
    help="Add the year to totals that are fresh and lack it.",
)  # fmt: skip
trust_count = click.option(
    "--trust-count",
    is_flag=True,
    help="Begin although the source's summary says that its table lacks rows; such a run ends partial.",
)
overwrite = click.option(
    "--overwrite", is_flag=True,
    help="Delete what is there and put it anew; recorded in the log, refused where the bucket forbids it.",
)  # fmt: skip
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON only.")


selection = together(dataset, year, company_id, max_files, slice_of)
totals = together(totals_from, rescrape_totals, add_year)
running = together(trust_count, dry_run, run_id, lake, streams)


def selection_of(
    dataset: str, year: int, company_id: str | None = None, max_files: int | None = None, slice_of: str | None = None
) -> Selection:
    """The selection of a command line.

    Raises:
        UsageError: a company and a part of all companies were both asked for.

    """
    from data_pipeline.open_payments.ledger.documents import Selection
    from etl_core.errors import UsageError

    if company_id is not None and (max_files is not None or slice_of is not None):
        raise UsageError("--company-id names one company; leave out --max-files and --slice.")
    return Selection(dataset=dataset, year=year, company_id=company_id, max_files=max_files, slice_of=slice_of)


def _totals_choice(*, totals_from: Route | None, rescrape_totals: bool, add_year: bool) -> TotalsChoice:
    from data_pipeline.open_payments.source.totals import TotalsChoice

    return TotalsChoice(rescrape=rescrape_totals, add_year=add_year, route=totals_from)
