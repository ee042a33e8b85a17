"""A file in ``jobs/`` with a top-level ``JOB = (entrypoint, description)`` is a job.

Names come from the directory; running a job imports that job alone; a module that fails to
import is shown as broken and harms no other. Job modules import what is heavy inside their
functions, so that listing all of them takes no longer than importing click.
"""

from __future__ import annotations

import difflib
import importlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etl_core.errors import PipelineError, UsageError

# The contract says int; the plainest kind of entrypoint forgets to return, and that is success.
Entrypoint = Callable[[list[str]], int | None]
JOBS_PACKAGE = "data_pipeline.jobs"
JOBS_FOLDER = Path(__file__).parent / "jobs"


class BrokenJobError(PipelineError):
    """A job module that does not import or has no proper ``JOB``: a bug of that module (status 1)."""


@dataclass(frozen=True)
class Job:
    """A job that can run."""

    name: str
    entrypoint: Entrypoint
    description: str
    module: Any


class Registry:
    """The jobs of one folder, which is the package ``package``."""

    def __init__(self, folder: Path = JOBS_FOLDER, package: str = JOBS_PACKAGE) -> None:
        self._folder = folder
        self._package = package

    def names(self) -> list[str]:
        """All job names, by file name."""
        found = (path.stem for path in self._folder.glob("*.py"))
        return sorted(name for name in found if not name.startswith("_") and name != "registry")

    def listings(self) -> dict[str, str]:
        """Every job with its description, or with why it is broken."""
        return {name: self._listing(name) for name in self.names()}

    def load(self, name: str) -> Job:
        """Import one job.

        Raises:
            UsageError: there is none of that name; the nearest are named.
            BrokenJobError: it does not import, or has no proper ``JOB``.

        """
        names = self.names()
        if name not in names:
            near = difflib.get_close_matches(name.replace("-", "_"), names, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else "'data-pipeline list' shows all."
            raise UsageError(f"there is no job {name!r}.", advice=hint)
        try:
            module = importlib.import_module(f"{self._package}.{name}")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may even call sys.exit() while it is imported
            raise BrokenJobError(f"job {name} is broken: {_last_line(error)}") from error
        job = getattr(module, "JOB", None)
        if not isinstance(job, tuple) or len(job) != 2 or not callable(job[0]) or not isinstance(job[1], str):
            raise BrokenJobError(f"job {name} is broken: it has no JOB = (entrypoint, description)")
        return Job(name, job[0], job[1], module)

    def _listing(self, name: str) -> str:
        try:
            return self.load(name).description
        except BrokenJobError as error:
            return "BROKEN: " + str(error).removeprefix(f"job {name} is broken: ")


def _last_line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
