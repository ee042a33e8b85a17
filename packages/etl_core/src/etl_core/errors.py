"""Everything raised on purpose, drawn by the caller's next move.

::

    PipelineError
    ├── UsageError            2   the command line was wrong: correct it
    ├── PermanentError        3   running again changes nothing: fix configuration or data
    │   ├── ConfigError           a setting is missing, unreadable or contradicts another
    │   ├── DataError             an answer or a file is not what it must be
    │   ├── ConflictError         two different contents claim one create-only key
    │   ├── AccessError           credentials, permissions, a read-only or full disk
    │   └── NotFoundError         what was named does not exist
    ├── TemporaryError        4   running again may help
    │   ├── UnavailableError      a service answered 429 or 5xx, or broke off
    │   │   └── UnreachableError      nobody answered at all
    │   └── BlockedError          the source's edge refuses us: stop asking, come back later
    └── StoppedError      130/143 a signal ended the work; what was proved is kept

Only ``data_pipeline.cli`` turns an exception into an exit status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class ExitStatus:
    """One row of the exit-status table: the number, what it means, who acts on it.

    ``again`` says whether the same command may end better if it is simply run again: Kubernetes
    is told so in each Job's ``podFailurePolicy``.
    """

    code: int
    meaning: str
    who_acts: str
    again: bool = True


DONE = ExitStatus(0, "done, or already done", "nobody")
BUG = ExitStatus(1, "a bug: traceback in the log", "the maintainers")
USAGE = ExitStatus(2, "wrong usage", "the caller", again=False)
PERMANENT = ExitStatus(3, "permanent: fix configuration or data", "a person", again=False)
TEMPORARY = ExitStatus(4, "temporary: run again", "the scheduler")
INTERRUPTED = ExitStatus(130, "interrupted (SIGINT), work kept", "nobody")
TERMINATED = ExitStatus(143, "terminated (SIGTERM), work kept", "nobody")

EXIT_STATUSES: tuple[ExitStatus, ...] = (DONE, BUG, USAGE, PERMANENT, TEMPORARY, INTERRUPTED, TERMINATED)


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
    """The command line was wrong."""

    exit_status = USAGE


class PermanentError(PipelineError):
    """Running again changes nothing."""

    exit_status = PERMANENT


class ConfigError(PermanentError):
    """A setting is missing, unreadable, or contradicts another."""


class DataError(PermanentError):
    """An answer or a file is not what it must be."""


class ConflictError(PermanentError):
    """Two different contents claim one create-only key."""


class AccessError(PermanentError):
    """Credentials, permissions, a read-only or a full disk."""


class NotFoundError(PermanentError):
    """What was named does not exist."""


class TemporaryError(PipelineError):
    """Running again may help; ``retryable`` says whether a retry within this run may help, too."""

    exit_status = TEMPORARY
    retryable: ClassVar[bool] = True


class UnavailableError(TemporaryError):
    """A service answered 429 or 5xx, or broke off.

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
    """Nobody answered: no such host, no connection, no byte in time."""


class BlockedError(TemporaryError):
    """The source's edge refuses us; asking again makes it worse."""

    retryable = False


class StoppedError(PipelineError):
    """A signal ended the work; ``signal_number`` decides the status (128 + n)."""

    def __init__(self, message: str, *, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
