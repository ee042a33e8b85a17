"""The files that a database lists for an agency, in a table or view ``agency_files`` of these columns:

agency_id   integer
file_id     integer or text, unique
key         text: of the object in the source bucket
size        integer, in bytes; null if unknown
updated_at  timestamp; null if unknown; without a time zone it is in UTC
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from data_pipeline.agency_files.decide import ListedFile
from etl_core.errors import DataError
from etl_core.printable import printable

if TYPE_CHECKING:
    from data_pipeline.agency_files.documents import Selection
    from etl_core.database import Database

# No key of S3 is as long: what is cut is refused by its length.
LONGEST_NAME = 2000
TABLE = sa.table(
    "agency_files",
    sa.column("agency_id", sa.BigInteger),
    sa.column("file_id"),
    sa.column("key"),
    sa.column("size"),
    sa.column("updated_at", sa.DateTime(timezone=True)),
)


def listed_files(database: Database, selection: Selection) -> list[ListedFile]:
    """The rows of an agency in the order of ``file_id``. As a list: the transaction ends before anything is copied.

    Raises:
        DataError: a row cannot be understood. Others as ``Database.rows``.

    """
    query = sa.select(TABLE.c.file_id, TABLE.c.key, TABLE.c.size, TABLE.c.updated_at)
    query = query.where(TABLE.c.agency_id == selection.agency_id).order_by(TABLE.c.file_id).limit(selection.limit)
    if selection.since is not None:
        query = query.where(TABLE.c.updated_at >= selection.since)
    return [_file_of(*tuple(row)) for row in database.rows(query)]


def _file_of(file_id: Any, key: Any, size: Any, updated_at: Any) -> ListedFile:  # noqa: ANN401 - of a database
    try:
        when = None if updated_at is None else updated_at.replace(tzinfo=updated_at.tzinfo or UTC)
        return ListedFile(str(file_id), str(key or "")[:LONGEST_NAME], None if size is None else int(size), when)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"the row of file {printable(file_id, 60)} in agency_files has a wrong type.") from error
