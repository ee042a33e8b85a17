"""One window to prove, and why it may not be proved."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from data_pipeline.open_payments.source import query
from etl_core.errors import BlockedError, ConflictError, NotFoundError, PermanentError, TemporaryError
from etl_core.telemetry import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data_pipeline.open_payments.ledger.documents import Release
    from data_pipeline.open_payments.schema import Columns
    from data_pipeline.open_payments.windows import Window
    from etl_core.csv_stream.layout import Layout


class NotProvedError(TemporaryError):
    """An attempt that proved nothing. ``reason`` is a short stable word, ``detail`` says what was found."""

    def __init__(
        self, reason: str, detail: str, *, records: int = 0, received: int = 0, expected: int | None = None
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.records = records
        self.received = received
        self.expected = expected


class DriftedError(PermanentError):
    """The header differs from the source's own schema, twice in a row."""


class ReleaseGoneError(TemporaryError):
    """The table answers 404: CMS has republished since the run began. The next run resolves the new release."""

    retryable = False


@dataclass
class WindowTask:
    """One window to prove. ``expected`` is the source's row count before the download, if known.

    A window whose count changed after its proof is proved again, as the next ``generation``.
    """

    run_id: str
    release: Release
    columns: Columns
    company_id: str
    window: Window
    expected: int | None
    generation: int = 1
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0

    @property
    def conditions(self) -> tuple[query.Condition, ...]:
        """The conditions of the request."""
        return query.conditions_of(self.columns, self.company_id, self.window)

    @property
    def layout(self) -> Layout:
        """The rules every record of the answer must meet."""
        return self.columns.layout(self.release.year, self.company_id, self.window)


@contextlib.contextmanager
def translate_release_gone() -> Iterator[None]:
    """Turn a 404 into ``ReleaseGoneError``: the request is right, but the release was withdrawn meanwhile."""
    try:
        yield
    except NotFoundError as error:
        raise ReleaseGoneError(f"{error}.", advice="CMS has republished. Run the same command again.") from error


def reason_of(error: Exception) -> str:
    """One stable word for reports."""
    if isinstance(error, NotProvedError):
        return error.reason
    words: tuple[tuple[type[Exception], str], ...] = (
        (BlockedError, "blocked"),
        (DriftedError, "drifted"),
        (ReleaseGoneError, "release_gone"),
        (ConflictError, "conflict"),
        (PermanentError, "refused"),
        (TemporaryError, "unavailable"),
    )
    return next((word for kind, word in words if isinstance(error, kind)), "bug")
