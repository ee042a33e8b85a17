"""The place ``process``: a job as a child of the task, in the project's own environment."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
from typing import TYPE_CHECKING

from orchestration.outcomes import Outcome, fact_in

if TYPE_CHECKING:
    from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
# Airflow allows a task 60 s to end ([core] killed_task_cleanup_time); a job keeps its work within GRACE_SECONDS (30).
GRACE_SECONDS = 45


def end_with_parent() -> None:
    """Have Linux send SIGTERM to this process once its parent is gone: nobody would read what it finds."""
    with contextlib.suppress(AttributeError, OSError):  # no Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class ProcessPlace:
    """Runs ``program run JOB -- …``: its stderr goes to the task's log, its last line on stdout is its fact."""

    def __init__(self, program: Sequence[str]) -> None:
        self._program = tuple(program)
        self._child: subprocess.Popen[str] | None = None

    def run(self, command: Sequence[str]) -> Outcome:
        job, *arguments = command
        words = [*self._program, "run", job, "--", *arguments]
        # preexec_fn: the task's process has one thread that matters, and a worker that is killed must leave no child.
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent) as child:  # noqa: PLW1509
            self._child = child
            stdout, _ = child.communicate()
        status = child.returncode
        return Outcome(128 - status if status < 0 else status, fact_in(stdout.splitlines()))

    def stop(self) -> None:
        """Pass a signal on, and wait: what the job has proved by then is kept, and the next try continues there."""
        child = self._child
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
