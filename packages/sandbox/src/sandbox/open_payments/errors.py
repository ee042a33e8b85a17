"""Answers that are errors, with the texts of facts 1.6."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sandbox.open_payments.reply import Headers

COLUMN_NOT_FOUND = "Column not found."
DATABASE_ERROR = "Database internal error."
MIXED = (
    "You may not mix simple properties and aggregation expressions in a single query. If one of your properties "
    "includes an expression with a sum, count, avg, min or max operator, remove other properties from your query "
    "and try again."
)
INVALID_SORT = "Invalid sort."
INVALID_CONDITION = "Invalid condition"
INVALID_JSON = "Invalid JSON"
BAD_PROPERTY = "Bad query property."
NOT_FULLTEXT = "You have attempted a fulltext match against a column that is not indexed for fulltext searching."
RECORD_NUMBER = (
    "The record_number property is for internal use and cannot be requested directly. Set rowIds to true and remove "
    "properties from your query to see the full table with row IDs."
)
ROW_IDS = "The rowIds property cannot be set to true if you are requesting specific properties."
RESOURCES = (
    "Joins are not available and resources should not be explicitly passed when using the resource query endpoint. "
    "Try /api/1/datastore/query."
)
NOT_STREAMING = "Streaming not currently available for JSON responses"
NO_HEADER = "Could not generate header for CSV."
DEGRADED_QUERY = (
    "Datastore queries are temporarily limited due to high server load. Remove conditions, joins, groupings, sorts, "
    "and offsets to retry."
)
DEGRADED_DOWNLOAD = (
    "Datastore downloads are temporarily limited due to high server load. All streaming responses are currently "
    "unavailable."
)


class ApiError(Exception):
    """An error answer: `{"message", "status", "timestamp"}`, and what `data` adds."""

    def __init__(
        self, message: str, status: int = 400, data: Mapping[str, Any] = MappingProxyType({}), headers: Headers = ()
    ) -> None:
        super().__init__(message)
        self.status, self.data, self.headers = status, data, headers


def violation(keyword: str, pointer: str, message: str) -> ApiError:
    """A query that breaks the schema of queries."""
    data = {"keyword": keyword, "pointer": pointer, "message": message}
    return ApiError("JSON Schema validation failed.", data={"data": data})


def not_simulated(what: str) -> ApiError:
    """What the source has and this simulator does not: 501, which the source never answers."""
    return ApiError(f"The sandbox does not simulate {what}.", 501)
