"""Check that a dataset's year is finished: every company proved, no record or dollar lost from layer to layer, and the
totals those of CMS's own summaries within a bound.

The equations are on stderr and in the fact, each with what was found and what it must be. It looks at documents, not
at the bytes of parts and tables: verify reads those again.

Reads the year's newest closed run, what its stage found, its tables' manifest and the marts' manifest. Writes
nothing. Ends with 3 if a check fails.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    options.dataset,
    click.option("--year", type=int, required=True, help="Program year, such as 2024."),
    click.option(
        "--max-difference", type=frame.FiniteFloat(0, 1), default=0.001, show_default=True,
        help="From CMS's summaries, as a share of the year's records and dollars.",
    ),
    click.option(
        "--max-quarantined", type=frame.FiniteFloat(0, 1), default=0.001, show_default=True,
        help="Records in quarantine, as a share of the year's.",
    ),
    click.option(
        "--allow-unreconciled", is_flag=True, help="Pass although the marts are not compared with CMS's summary."
    ),
    frame.lake,
)  # fmt: skip
def command(
    context: Context, dataset: str, year: int, max_difference: float, max_quarantined: float, allow_unreconciled: bool
) -> int:
    from data_pipeline.lakehouse.facts import CheckYearFact
    from data_pipeline.reports.year_check import Bounds, check_year, lines_of
    from data_pipeline.reports.year_state import read_year
    from etl_core.errors import DONE, PERMANENT

    state = read_year(context.store, dataset, year)
    bounds = Bounds(Decimal(str(max_difference)), Decimal(str(max_quarantined)), allow_unreconciled)
    checks = check_year(state, bounds)
    failed = tuple(one.name for one in checks if one.status == "failed")
    context.explain(*lines_of(checks))
    context.print_document(
        CheckYearFact(
            run_id=state.run.run_id,
            dataset=dataset,
            year=year,
            release=state.run.release.name,
            status="failed" if failed else "passed",
            closed=state.run.is_closed,
            build=state.build.build if state.build else None,
            marts=state.marts.build if state.marts else None,
            rows=state.run.closure.proved_rows,
            failed=failed,
            checks=checks,
            **context.said_by_all,
        )
    )
    return PERMANENT.code if failed else DONE.code


JOB = (frame.entrypoint_of(command, "check_year"), "Check that a year is proved, conserved and reconciled with CMS")
KUBERNETES = {"args": ["--year", "2025"]}
