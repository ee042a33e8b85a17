"""Ask the lake's tables a question in SQL, as in: query -- "SELECT sum(total_amount_of_payment_usdollars)
FROM general_payments WHERE year = 2024".

Each table is a view of the newest build of each year, with its year and release as columns; the builds
are chosen when the job starts, and stay. --tables lists them. One SELECT is run, or EXPLAIN of one;
nothing can be written, and no other file or host be read. Cells on a terminal are printable and cut.

Reads the manifests and files of builds. Writes the answer to stdout; the fact goes to stderr. Needs the
extra lakehouse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _answers as answers
from data_pipeline.jobs import _frame as frame

if TYPE_CHECKING:
    from data_pipeline.job import Context
    from data_pipeline.lakehouse.query import OutputFormat, PinnedTable


@frame.job(
    click.argument("question", required=False),
    click.option("--tables", "list_tables", is_flag=True, help="List the tables: year, rows, release, build, state."),
    answers.output_format,
    frame.lake,
)
def command(context: Context, question: str | None, list_tables: bool, output_format: OutputFormat) -> int:
    from data_pipeline.lakehouse.query import COLUMNS, Answer
    from etl_core.errors import UsageError

    context.give_stdout_to_data()
    if (question is None) is not list_tables:
        raise UsageError("Give a question in SQL, or --tables.")
    pinned = pinned_tables(context)
    if question is None:
        question = tables_as_sql(pinned)
        ...
