"""Write one page about a dataset's year: whether it is complete, what was fetched, and the usual figures.

The page is one HTML file without scripts, to be read on any screen, printed or mailed. It has no names of persons.
The same marts and run give the same page, and then nothing is done.

Reads the newest marts, the manifest, audits and failed attempts of the run behind them, and what its stage found.
Writes metadata/reports/…, create-only. Needs the extras lakehouse and report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options
from data_pipeline.jobs import _steps as steps

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    options.dataset,
    options.year,
    frame.lake,
)
def command(context: Context, dataset: str, year: int) -> int:
    fact, _ = steps.report(context, dataset, year)
    context.print_document(fact)
    return 0


JOB = (
    frame.entrypoint_of(command, "report"),
    "Write one page about a dataset's year: complete or not, and the figures",
)
# The file of the marts if the lake is in S3.
KUBERNETES = {"args": ["--year", "2025"], "pod": {"memory": "2Gi", "scratch": "10Gi"}}
