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
    from collections.abc import Iterator

    from data_pipeline.job import Context
    from data_pipeline.lakehouse.query import OutputFormat, PinnedTable


@frame.job(
    click.argument("question", required=False),
    click.option("--tables", "list_tables", is_flag=True, help="List the tables: year, rows, release, build, state."),
    answers.output_format,
    frame.lake,
)
def command(context: Context, question: str | None, list_tables: bool, output_format: OutputFormat) -> int:
    from data_pipeline.lakehouse.facts import QueryFact
    from etl_core.errors import NotFoundError, UsageError

    context.give_stdout_to_data()
    if (question is None) is not list_tables or (list_tables and output_format == "parquet"):
        raise UsageError("Give a question in SQL, or --tables, which is no Parquet.")
    tables = answers.pinned_tables(context)
    if question is None:
        answers.say(lines_of(tables, output_format))
    elif not tables:
        raise NotFoundError(f"{context.store.url} has no tables.", advice="Run stage and build_curated first.")
    else:
        with answers.opened(context, tables) as database:
            answers.show(context, database, question, output_format)
    context.print_document(
        QueryFact(run_id=context.run_id, status="answered", tables=len(tables), **context.said_by_all)
    )
    return 0


def lines_of(tables: list[PinnedTable], output_format: OutputFormat) -> Iterator[str]:
    """What --tables prints."""
    import json

    from data_pipeline.lakehouse.query import COLUMNS, Answer

    if output_format != "json":
        yield from Answer(COLUMNS, iter([one.cells for one in tables])).lines(output_format)
        return
    for one in tables:
        yield json.dumps(dict(zip(COLUMNS, one.cells, strict=True))) + "\n"


JOB = (frame.entrypoint_of(command, "query"), "Ask the lake's tables a question in SQL; nothing can be written")
# LAKEHOUSE_MEMORY_MB, and the process itself.
KUBERNETES = {"args": ["--tables"], "pod": {"memory": "2Gi"}}
