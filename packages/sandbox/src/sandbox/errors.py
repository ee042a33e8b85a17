"""Answers that are errors, with the texts of facts 1.6."""

from __future__ import annotations

from typing import Any

COLUMN_NOT_FOUND = "Column not found."
DATABASE_ERROR = "Database internal error."
MIXED = (
    "You may not mix simple properties and aggregation expressions in a single query. If one of your properties "
    "includes an expression with a sum, count, avg, min or max operator, remove other properties from your query "
    "and try again."
)
NO_FULLTEXT = "You have attempted a fulltext match against a column that is not indexed for fulltext searching."
INVALID_SORT = "Invalid sort."
NOT_STREAMING = "Streaming not currently available for JSON responses"
NO_HEADER = "Could not generate header for CSV."
ROW_IDS = "The rowIds property cannot be set to true if you are requesting specific properties."
RECORD_NUMBER = (
    "The record_number property is for internal use and cannot be requested directly. Set rowIds to true and remove "
    "properties from your query to see the full table with row IDs."
)
NO_JOINS = (
    "Joins are not available and resources should not be explicitly passed when using the resource query endpoint. "
    "Try /api/1/datastore/query."
)
DEGRADED_QUERY = (
    "Datastore queries are temporarily limited due to high server load. Remove conditions, joins, groupings, sorts, "
    "and offsets to retry."
)
DEGRADED_DOWNLOAD = (
    "Datastore downloads are temporarily limited due to high server load. All streaming responses are currently "
    "unavailable."
)


Headers = tuple[tuple[str, str], ...]


class ApiError(Exception):
    """An error answer: `{"message", "status", "timestamp"[, "data"]}`."""

    def __init__(
        self, message: str, status: int = 400, data: dict[str, str] | None = None, headers: Headers = ()
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.data, self.headers = message, status, data, headers

    def body(self, timestamp: str) -> dict[str, Any]:
        """The JSON body; `timestamp` is ISO 8601."""
        body = {"message": self.message, "status": self.status, "timestamp": timestamp}
        return body | {"data": self.data} if self.data else body


def violation(keyword: str, pointer: str, message: str) -> ApiError:
    """A query that breaks the schema of queries."""
    return ApiError("JSON Schema validation failed.", 400, {"keyword": keyword, "pointer": pointer, "message": message})
