"""Find the dataset and distribution ids of program years, and remember them for seven days.

Reads the source's catalogue, or its site's script where the catalogue fails, and the table
behind each year. Writes metadata/dataset_ids_cache.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    options.dataset,
    click.option("--year", "years", type=int, multiple=True, help="Only this year; repeatable. Default: all."),
    click.option("--refresh", is_flag=True, help="Ask the source even if the cache is fresh."),
    frame.run_id,
    frame.lake,
)
def command(context: Context, dataset: str, years: tuple[int, ...], refresh: bool) -> int:
    context.print_fact(**resolve(context, dataset, years, refresh=refresh))
    return 0


def resolve(context: Context, name: str, years: tuple[int, ...], *, refresh: bool) -> dict[str, Any]:
    """The releases of ``years``, all if empty, as the fact of the job."""
    from data_pipeline.open_payments.datasets import dataset_named
    from etl_core.errors import NotFoundError, UsageError

    dataset = dataset_named(name)
    catalogue = context.pipeline.catalogue
    releases = {} if refresh else catalogue.cached(dataset, years)
    problems: dict[int, str] = {}
    cached = bool(releases) and set(releases) >= set(years)
    if not cached:
        context.begin()
        releases, problems = catalogue.resolve_all(dataset)
        unknown = set(years) - set(releases) - set(problems)
        if unknown:
            have = ", ".join(map(str, sorted(releases)))
            lacks = ", ".join(map(str, sorted(unknown)))
            raise UsageError(f"the source has no program year {lacks} of {name}; it has {have}.")
        for year in set(years) & set(problems):
            raise NotFoundError(problems[year])
    return {
        "dataset": name,
        "status": "cached" if cached else "resolved",
        "years": {
            str(year): release.model_dump(include={"dataset_id", "distribution_id", "modified"})
            for year, release in sorted(releases.items())
            if not years or year in years
        },
        "unresolved": {str(year): why for year, why in sorted(problems.items())},
    }


JOB = (
    frame.entrypoint_of(command, "resolve_ids"),
    "Find the dataset and distribution ids of program years (cached 7 days)",
)
