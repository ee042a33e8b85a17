"""Every error raised on purpose, grouped by what the caller should do next.

::

    PipelineError
    ├── UsageError            2   wrong command line
    ├── PermanentError        3   a retry changes nothing: fix configuration or data
    │   ├── ConfigError           a setting is missing, invalid or contradicts another
    │   ├── DataError             an answer or a file has invalid content
    │   ├── ConflictError         two different contents for one create-only key
    │   ├── AccessError           credentials, permissions, a read-only or full disk
    │   └── NotFoundError         a named object does not exist
    ├── TemporaryError        4   a later run may succeed
    │   ├── UnavailableError      a service is throttling, failing, or closed the connection
    │   │   └── UnreachableError      no answer at all
    │   ├── BlockedError          the service blocks this client, or asks for a long wait: come back later
    │   └── ChangedError          what was to be read is another by now: look at it again
    └── StoppedError      130/143 a signal ended the work; completed work is kept

Only the command's entry point turns an exception into an exit status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class ExitStatus:
    """One row of the exit-status table: the number, what it means, who acts on it.

    ``retryable`` says whether the same command may succeed later; ``podFailurePolicy`` follows from it.
    """

    code: int
    meaning: str
    who_acts: str
    retryable: bool = True


DONE = ExitStatus(0, "done, or already done", "nobody")
BUG = ExitStatus(1, "a bug: traceback in the log", "the maintainers")
USAGE = ExitStatus(2, "wrong usage", "the caller", retryable=False)
PERMANENT = ExitStatus(3, "permanent: fix configuration or data", "a person", retryable=False)
TEMPORARY = ExitStatus(4, "temporary: run again", "the scheduler")
HUNG_UP = ExitStatus(129, "the terminal was closed (SIGHUP), work kept", "nobody")
INTERRUPTED = ExitStatus(130, "interrupted (SIGINT), work kept", "nobody")
TERMINATED = ExitStatus(143, "terminated (SIGTERM), work kept", "nobody")

EXIT_STATUSES: tuple[ExitStatus, ...] = (DONE, BUG, USAGE, PERMANENT, TEMPORARY, HUNG_UP, INTERRUPTED, TERMINATED)


class PipelineError(Exception):
    """Base of all errors raised on purpose. ``advice`` says what to try."""

    exit_status: ClassVar[ExitStatus] = BUG

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} {self.advice}" if self.advice else message


class UsageError(PipelineError):
    """Wrong command line."""

    exit_status = USAGE


class PermanentError(PipelineError):
    """A retry changes nothing."""

    exit_status = PERMANENT


class ConfigError(PermanentError):
    """A setting is missing, invalid, or contradicts another."""


class DataError(PermanentError):
    """An answer or a file has invalid content."""


class ConflictError(PermanentError):
    """Two different contents for one create-only key."""


class AccessError(PermanentError):
    """Credentials, permissions, a read-only or a full disk."""


class NotFoundError(PermanentError):
    """A named object does not exist."""


class TemporaryError(PipelineError):
    """A later run may succeed; ``retryable`` says whether a retry within this run may, too."""

    exit_status = TEMPORARY
    retryable: ClassVar[bool] = True


class UnavailableError(TemporaryError):
    """A service is throttling, failing, or closed the connection.

    ``retry_after`` is the wait in seconds that the service asked for, if it did; without it, the
    usual wait before a retry is multiplied by ``wait_factor``.
    """

    def __init__(
        self, message: str, *, advice: str = "", retry_after: float | None = None, wait_factor: float = 1.0
    ) -> None:
        super().__init__(message, advice=advice)
        self.retry_after = retry_after
        self.wait_factor = wait_factor


class UnreachableError(UnavailableError):
    """No answer: unknown host, no connection, or no byte within the timeout."""


class BlockedError(TemporaryError):
    """The service blocks this client, or asked for a longer wait than a run makes; another request would prolong it.

    ``retry_after`` is the wait in seconds, if the service named one.
    """

    retryable = False

    def __init__(self, message: str, *, advice: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, advice=advice)
        self.retry_after = retry_after


class ChangedError(TemporaryError):
    """What was to be read is another by now: it has to be looked at again first."""

    retryable = False


class StoppedError(PipelineError):
    """A signal ended the work; ``signal_number`` decides the status (128 + n)."""

    def __init__(self, message: str, *, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
