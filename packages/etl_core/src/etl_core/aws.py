"""Services of AWS beside S3, by their own names: statements for a Redshift workgroup, tables of a Glue database.

Clients come from the standard AWS settings, as that of S3. Errors are those of ``etl_core.errors``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import botocore.config
import botocore.exceptions

from etl_core.errors import DataError, UnavailableError
from etl_core.lake.s3_errors import translate_errors
from etl_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

POLL_SECONDS = 2.0


def make_client(service: str) -> Any:  # noqa: ANN401 - stubs of these services are not installed
    """A client of a service."""
    config = botocore.config.Config(retries={"mode": "standard", "max_attempts": 8}, connect_timeout=10)
    with translate_errors(f"set up the client of {service}"):
        return boto3.session.Session().client(service, config=config)  # type: ignore[call-overload]


class RedshiftStatements:
    """Statements for a serverless workgroup over the data API: with IAM, without a connection or a password."""

    def __init__(self, client: Any, *, workgroup: str, database: str, sleep: Callable[[float], object]) -> None:  # noqa: ANN401
        self._client = client
        self._where = {"WorkgroupName": workgroup, "Database": database}
        self._sleep = sleep

    def run(self, statements: Sequence[str]) -> None:
        """Run statements as one transaction.

        Raises:
            DataError: one of them failed, so none holds. UnavailableError: the batch was aborted.
            AccessError, ConfigError, PermanentError: the service refuses it.

        """
        self._ended("batch_execute_statement", Sqls=list(statements))

    def rows(self, statement: str) -> list[Sequence[Any]]:
        """All rows of a query, NULL as None, decimals as text; raises as ``run``."""
        found: list[Sequence[Any]] = []
        asked = {"Id": self._ended("execute_statement", Sql=statement)}
        while True:
            with translate_errors("read rows from Redshift"):
                page = self._client.get_statement_result(**asked)
            found += [
                [None if "isNull" in cell else next(iter(cell.values())) for cell in row] for row in page["Records"]
            ]
            if not page.get("NextToken"):
                return found
            asked["NextToken"] = page["NextToken"]

    def _ended(self, call: str, **said: object) -> str:
        """The id of what was run, once it has finished."""
        with translate_errors("send statements to Redshift"):
            name: str = getattr(self._client, call)(**self._where, **said)["Id"]
        while True:
            with translate_errors("follow statements in Redshift"):
                state = self._client.describe_statement(Id=name)
            if state["Status"] == "FINISHED":
                return name
            if state["Status"] == "FAILED":
                raise DataError(f"Redshift says: {printable(state.get('Error', 'nothing')).rstrip('.')}.")
            if state["Status"] == "ABORTED":
                raise UnavailableError("the statements were aborted in Redshift.")
            self._sleep(POLL_SECONDS)


class GlueDatabase:
    """Tables and partitions of one database of the Glue catalogue; it must exist."""

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401
        self._client = client
        self.name = name

    def put_table(self, wanted: Mapping[str, Any]) -> None:
        """Create a table, or update it where it says something else; raises ``PipelineError``."""
        found = self._found("get_table", "Table", Name=wanted["Name"])
        self._put("table", found, wanted)

    def partition(self, table: str, values: Sequence[str]) -> Mapping[str, Any] | None:
        """What a partition says; None without one."""
        return self._found("get_partition", "Partition", TableName=table, PartitionValues=list(values))

    def put_partition(self, table: str, wanted: Mapping[str, Any]) -> None:
        """Create a partition, or replace what it says in one call; raises ``PipelineError``."""
        values = list(wanted["Values"])
        known = {"PartitionValueList": values} if (found := self.partition(table, values)) else {}
        self._put("partition", found, wanted, TableName=table, **known)

    def _put(self, kind: str, found: Mapping[str, Any] | None, wanted: Mapping[str, Any], **where: Any) -> None:  # noqa: ANN401
        if found is not None and is_said(wanted, found):
            return
        call = getattr(self._client, f"{'create' if found is None else 'update'}_{kind}")
        with translate_errors(f"write a {kind} of the Glue database {self.name}"):
            call(DatabaseName=self.name, **{f"{kind.title()}Input": dict(wanted)}, **where)

    def _found(self, call: str, part: str, **which: object) -> Mapping[str, Any] | None:
        with translate_errors(f"read the Glue database {self.name}"):
            try:
                found: Mapping[str, Any] = getattr(self._client, call)(DatabaseName=self.name, **which)[part]
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "EntityNotFoundException":
                    raise
                return None
        return found


def is_said(wanted: Any, found: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether ``found`` says all of ``wanted``; the service adds fields of its own."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(name in found and is_said(value, found[name]) for name, value in wanted.items())
    return bool(wanted == found)
