"""The place ``process``: a job as a child of the task, in the project's own environment."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
from typing import TYPE_CHECKING

from etl_core.errors import ConfigError
from orchestration.outcomes import Outcome, fact_in

if TYPE_CHECKING:
    from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
# The task's stdout, which Airflow logs as information; what comes on its stderr it calls an error.
TASK_LOG = 1


def end_with_parent() -> None:
    """Have Linux send SIGTERM to this process once its parent is gone: nobody would read what it finds."""
    with contextlib.suppress(AttributeError, OSError):  # no Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class ProcessPlace:
    """Runs ``program run JOB -- …``: its log goes to the task's log, its last line on stdout is its fact."""

    def __init__(self, program: Sequence[str]) -> None:
        self._program = tuple(program)
        self._child: subprocess.Popen[str] | None = None

    def run(self, command: Sequence[str]) -> Outcome:
        """Run it to its end; raises ``ConfigError`` if there is no such program."""
        job, *arguments = command
        words = [*self._program, "run", job, "--", *arguments]
        try:
            # The hook is one call of the system, and the child must not outlive a worker that is killed.
            self._child = subprocess.Popen(
                words,
                stdout=subprocess.PIPE,
                stderr=TASK_LOG,
                text=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509
            )
        except OSError as error:
            raise ConfigError(
                f"{words[0]} cannot be run: {error.strerror}.",
                advice="Set program in section [data_pipeline] to the command of the jobs' environment.",
            ) from error
        with self._child as child:
            stdout, _ = child.communicate()
        status = child.returncode
        return Outcome(128 - status if status < 0 else status, fact_in(stdout.splitlines()))

    def stop(self) -> None:
        """Pass a SIGTERM on: what the job has proved by then is kept, and the next try continues there."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
