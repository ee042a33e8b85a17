"""Publish the build of a dataset's year in the Glue catalogue, for Athena and other readers of it.

Each table of the build becomes a table there, with a partition per dataset and year that names exactly the files of
the manifest. Updating a partition is one call: queries read the old build or the new one. Rows are records, so counts
and sums are the manifest's; the saved query curated_against_manifest compares them. The same build is published once.

Reads a build's manifest. Writes lists of its files below metadata/catalogue/, create-only, and tables and partitions
of the Glue database CATALOGUE_DATABASE. Needs the extra lakehouse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _tables as tables

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(tables.committed)
def command(context: Context, dataset: str | None, year: int | None) -> int:
    from data_pipeline.lakehouse.catalogue import Publication
    from data_pipeline.lakehouse.facts import CatalogueFact

    build = tables.chosen_build(context, dataset, year)
    columns = tables.columns_for(context, build)[1][build.dataset]
    publication = Publication(build, context.store, context.glue, columns, context.progress)
    is_published = publication.is_published()
    if not is_published:
        context.begin(build.run_id)
        publication.run()
    context.print_document(
        CatalogueFact(
            status="already published" if is_published else "published",
            database=publication.database.name,
            **tables.said_of(build),
            **context.said_by_all,
        )
    )
    return 0


JOB = (frame.entrypoint_of(command, "publish_catalogue"), "Publish a build in the Glue catalogue, for Athena")
KUBERNETES = {"args": ["--year", "2025"]}
