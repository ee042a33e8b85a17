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
    from etl_core.csv_stream.reader import Layout


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
    """The header is not that of the source's own schema, twice in a row."""


class ReleaseGoneError(TemporaryError):
    """The table answers 404: CMS has published anew since the run began. The next run resolves it."""

    worth_waiting = False


@dataclass
class WindowTask:
    """One window to prove. ``expected`` is the source's count before, where it is known already.

    A window whose count has moved since it was proved is proved again, as the next ``generation``.
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
        """What the source is asked for."""
        return query.conditions_of(self.columns, self.company_id, self.window)

    @property
    def layout(self) -> Layout:
        """What every record of the answer must look like."""
        return self.columns.layout(self.company_id, self.window)


@contextlib.contextmanager
def release_still_there() -> Iterator[None]:
    """Asking the source about a release that may be withdrawn meanwhile: 404 is then no fault of the question."""
    try:
        yield
    except NotFoundError as error:
        raise ReleaseGoneError(f"{error}.", advice="The source published anew; run again.") from error


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
