"""Write a committed run, or a table, as clean CSV (RFC 4180) or Parquet: a file for the year, or per company.

Every record of every part is written, in either dialect of the source, and nothing is changed: cells
that a spreadsheet would run as a formula are written as they are. Columns have CMS's titles; all are
text. A file appears whole or not at all. The same command again agrees with what is there; other
content under a name is left alone unless --overwrite is given. A file of a run that did not close its
year has partial in its name.

--table NAME writes a table of the build that readers see instead, such as general_payments or
companies: typed, with the columns that query shows, without what is in quarantine.

Reads the run's manifest, audits, schema and parts, or the build's manifest and files. Writes into the
folder of --to, or with --to - CSV to stdout, in which case the fact goes to stderr. Parquet and tables
need the extra lakehouse.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from data_pipeline.jobs import _answers as answers
from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options
from data_pipeline.jobs import _tables as tables
from data_pipeline.lake_layout.ids import shown_company
from etl_core.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from data_pipeline.job import Context
    from data_pipeline.lakehouse.documents import BuildManifest
    from data_pipeline.lakehouse.export import Exporter, FileFormat
    from data_pipeline.lakehouse.facts import ExportedFile
    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.open_payments.ledger.documents import Audit

Per = Literal["year", "company"]


@frame.job(
    tables.committed,
    options.company_ids,
    click.option("--table", "table_name", metavar="NAME", help="This table of the run's build, in place of the run."),
    click.option(
        "--per", type=click.Choice(("year", "company")), default="year", show_default=True, help="What a file holds."
    ),
    click.option(
        "--format", "file_format", type=click.Choice(("csv", "parquet")), default="csv", show_default=True,
        help="Of the files.",
    ),
    click.option(
        "--to", "target", required=True, metavar="FOLDER",
        help="Where to write: a folder or s3://…; - is stdout, for one CSV file.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace files of the same names."),
)  # fmt: skip
def command(
    context: Context,
    dataset: str | None,
    year: int | None,
    company_ids: tuple[str, ...],
    table_name: str | None,
    per: Per,
    file_format: FileFormat,
    target: str,
    overwrite: bool,
) -> int:
    from data_pipeline.lakehouse.facts import ExportFact

    if target == "-":
        context.give_stdout_to_data()
        if sys.stdout.isatty():
            from etl_core.progress import Progress

            context.progress = Progress()  # a bar would stand between the lines
    by_company = per == "company" or bool(company_ids)
    if table_name is None:
        chosen = of_run(context, tables.chosen_run(context, dataset, year), company_ids, by_company=by_company)
    else:
        build = tables.chosen_build(context, dataset, year)
        chosen = of_table(context, build, table_name, company_ids, by_company=by_company)
    with chosen as source:
        missing = [shown_company(one) for one in company_ids if one not in source.by_company]
        if missing or not source.by_company:
            raise NotFoundError(f"run {source.about['run_id']} has no part of {', '.join(missing) or 'any company'}.")
        files = {source.name_of(one, file_format): what for one, what in source.by_company.items()}
        rows = sum(map(source.exporter.rows, files.values()))
        context.progress.start("exporting", units=source.units, rows=rows)
        try:
            written = (
                _to_stdout(source.exporter, files, file_format)
                if target == "-"
                else _to_folder(context, source.exporter, files, target, file_format, overwrite=overwrite)
            )
        finally:
            context.progress.stop()
    context.explain(*(f"{one.status}  {one.rows:,} rows  {target.rstrip('/')}/{one.name}" for one in written))
    context.print_document(
        ExportFact(**source.about, status="exported", rows=rows, to=target, files=tuple(written), **context.said_by_all)
    )
    return 0


@dataclass(frozen=True)
class Source:
    """What is exported: how, what belongs in the file of each company or of all (None), and what the fact says of it.

    ``units`` are the steps of its progress.
    """

    title: str
    about: dict[str, Any]
    exporter: Exporter[Any]
    by_company: dict[str | None, Any]
    units: int

    def name_of(self, company_id: str | None, file_format: FileFormat) -> str:
        """The name of a file."""
        from data_pipeline.lake_layout.open_payments import company

        state = "" if self.about["closed"] else "_partial"
        whose = "" if company_id is None else f"_{company(company_id)}"
        return f"{self.title}_{self.about['year']}_{self.about['release']}{state}{whose}.{file_format}"


@contextlib.contextmanager
def of_run(context: Context, run: Run, company_ids: Sequence[str], *, by_company: bool) -> Iterator[Source]:
    """The parts of a run."""
    from data_pipeline.lakehouse.export import Export
    from data_pipeline.open_payments.ledger.schemas import read_schema

    manifest, release = run.manifest, run.manifest.release
    parts = [part for part in run.parts() if not company_ids or part.company_id in company_ids]
    about = {
        "run_id": manifest.run_id, "dataset": manifest.dataset, "year": manifest.year, "release": release.name,
        "closed": manifest.is_closed,
    }  # fmt: skip
    titles = read_schema(context.store, release).titles
    export = Export(run, titles, progress=context.progress, check_stop=context.stop.check)
    own: dict[str | None, list[Audit]] = {}
    for part in sorted(parts, key=lambda part: part.company_id) if by_company else parts:
        own.setdefault(part.company_id if by_company else None, []).append(part)
    yield Source(manifest.dataset, about, export, dict(own), len(parts))


@contextlib.contextmanager
def of_table(
    context: Context, build: BuildManifest, name: str, company_ids: Sequence[str], *, by_company: bool
) -> Iterator[Source]:
    """The rows of a table; raises ``NotFoundError`` if the build has none of that name."""
    from data_pipeline.lake_layout.lakehouse import build_manifest
    from data_pipeline.lakehouse.export import TableExport, questions
    from data_pipeline.lakehouse.query import tables_of
    from data_pipeline.open_payments.datasets import dataset_named

    there = {one.name: one for one in tables_of(build, lambda key: answers.location(context, key))}
    if name not in there:
        raise NotFoundError(f"build {build.build} has the tables {', '.join(there)}, and no other.")
    if by_company and name != build.table:
        raise UsageError(f"only {build.table} is written by company.")
    about = {
        "run_id": build.run_id, "dataset": build.dataset, "year": build.year, "release": build.release,
        "closed": build.closed, "table": name, "build": build.build,
        "manifest": build_manifest(build.scope, build.number),
    }  # fmt: skip
    key = dataset_named(build.dataset).payer_column.lower() if by_company else None
    with answers.opened(context, [there[name]]) as database:
        own = questions(database, there[name], key, company_ids)
        yield Source(name, about, TableExport(database, context.progress), own, len(own))


def _to_stdout(export: Exporter[Any], files: dict[str, Any], file_format: FileFormat) -> list[ExportedFile]:
    from etl_core.stdio import write_bytes

    if len(files) > 1 or file_format != "csv":
        raise UsageError("--to - writes one CSV file; for more files, or Parquet, name a folder.")
    for what in files.values():
        write_bytes(sys.stdout, export.csv(what))
    return []


def _to_folder(
    context: Context,
    export: Exporter[Any],
    files: dict[str, Any],
    target: str,
    file_format: FileFormat,
    *,
    overwrite: bool,
) -> list[ExportedFile]:
    from data_pipeline.lakehouse.database import Limits
    from data_pipeline.lakehouse.export import write_files

    limits = Limits(context.settings.lakehouse_memory_mb, workers=1)
    with contextlib.closing(context.open_store(target, named="--to")) as folder:
        return write_files(export, files, folder, file_format, limits, overwrite=overwrite)


JOB = (frame.entrypoint_of(command, "export"), "Write a committed run as clean CSV or Parquet, per year or company")
KUBERNETES = {"args": ["--year", options.NEWEST_YEAR, "--to", "-"]}
