"""Show what was quarantined of a committed run: counts by reason, and the records with all their text.

A record is in quarantine if it violates a rule of the contract that takes records out; nothing is
dropped. The fact has the counts. With --records the records go to stdout, each with its reasons, its
part and its number there, and the fact goes to stderr. Cells on a terminal are printable and cut.

Reads the run's manifest and audits, and what stage wrote of its parts. Writes nothing. Needs the extra
lakehouse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _answers as answers
from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options
from data_pipeline.jobs import _tables as tables

if TYPE_CHECKING:
    from data_pipeline.job import Context
    from data_pipeline.lakehouse.query import OutputFormat


@frame.job(
    tables.committed_of_any_domain,
    click.option("--records", is_flag=True, help="Show the records, too."),
    click.option("--reason", help="Only records with this reason, such as date_of_payment.pattern."),
    answers.output_format,
)
def command(
    context: Context,
    dataset: str | None,
    year: int | None,
    records: bool,
    reason: str | None,
    output_format: OutputFormat,
) -> int:
    from data_pipeline.lakehouse.facts import QuarantineFact
    from data_pipeline.lakehouse.query import quarantined_records
    from data_pipeline.lakehouse.stage import totals_of

    if records:
        context.give_stdout_to_data()
    origin = tables.chosen_origin(context, dataset, year)
    staging = tables.staging_of(context, origin)
    documents = staging.done()
    chosen = [one.quarantine for one in documents.values() if one.quarantine and reason in (None, *one.reasons)]
    if records and chosen:
        table = answers.table_of_run(context, "quarantined", origin, chosen)
        with answers.opened(context, [table]) as database:
            answers.show(context, database, quarantined_records(table, reason), output_format)
    parts, totals = len(staging.parts.audits), totals_of(documents.values())
    context.print_document(
        QuarantineFact(
            run_id=origin.run_id,
            dataset=origin.dataset,
            year=origin.year,
            release=origin.release,
            status="shown" if len(documents) == parts else "not all staged",
            closed=origin.closed,
            contract=staging.contract.hash,
            parts=parts,
            staged_parts=len(documents),
            **{name: totals[name] for name in ("rows", "quarantined", "reasons")},
            **context.said_by_all,
        )
    )
    return 0


JOB = (frame.entrypoint_of(command, "quarantine"), "Show what was quarantined of a committed run, and why")
# LAKEHOUSE_MEMORY_MB, and the process itself.
KUBERNETES = {"args": ["--year", options.NEWEST_YEAR], "pod": {"memory": "2Gi"}}
