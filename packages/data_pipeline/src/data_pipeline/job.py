"""The lifecycle of one job in a process of its own: settings, signals, log, progress, and the final fact on stdout."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from data_pipeline import lake_layout
from data_pipeline.settings.environment import read_dotenv
from data_pipeline.summary import command_of, summary_of
from data_pipeline.wiring import Services, checked_settings
from etl_core import logs
from etl_core.errors import PipelineError, StoppedError
from etl_core.heartbeat import Heartbeat
from etl_core.logs import FOR_THE_COPY, get_logger
from etl_core.machine import what_is_missing
from etl_core.printable import escaped
from etl_core.progress import for_terminal
from etl_core.stdio import say
from etl_core.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from data_pipeline.settings import Settings
    from etl_core.documents import Document
    from etl_core.progress import Progress

# A run that is resumed stores a log for each time it was started; past this many the further ones are not stored.
MOST_LOGS = 1000

_log = get_logger()


class Context(Services):
    """The services of one job, and what it is to say when it ends."""

    def __init__(
        self,
        job: str,
        settings: Settings,
        stop: Stop,
        log_file: Path,
        *,
        progress: Progress | None = None,
        is_one_of_many: bool = False,
        is_json: bool = False,
        lake_argument: str | None = None,
    ) -> None:
        super().__init__(settings, stop=stop, progress=progress, is_one_of_many=is_one_of_many)
        self.job = job
        self.started = time.monotonic()
        self.run_id = settings.run_id
        self._log_file = log_file
        self._stores_log = False
        self._printed = self._explained = False
        self._is_json = is_json
        self._lake_argument = lake_argument
        self._following: list[str] = []
        self._facts: Callable[[], TextIO] = lambda: sys.stdout

    def give_stdout_to_data(self) -> None:
        """The job writes data to stdout: its fact goes to stderr."""
        self._facts = lambda: sys.stderr

    def begin(self, run_id: str = "") -> None:
        """A run begins: its id, by default the start time, is on every log line, and its log goes into the lake."""
        from data_pipeline.runs.plans import default_run_id

        self.run_id = run_id or self.run_id or default_run_id(self.now())
        self._stores_log = True
        logs.bind(run_id=self.run_id)

    @property
    def seconds(self) -> float:
        """Since the job began."""
        return time.monotonic() - self.started

    @property
    def said_by_all(self) -> dict[str, Any]:
        """What the typed facts of all jobs have."""
        return {"job": self.job, "seconds": round(self.seconds, 3), "lake": self.store.url}

    @property
    def cost(self) -> dict[str, Any]:
        """What the job has cost at the source so far, for its fact."""
        return {
            "seconds": round(self.seconds, 3),
            "requests": int(self.telemetry.value("source_requests_total")),
            "retries": int(self.telemetry.value("source_retries_total")),
        }

    def print_fact(self, **fact: Any) -> None:  # noqa: ANN401 - JSON
        """Print the fact of the job: one JSON object in one line, the only one on stdout; on a terminal a summary."""
        self._print({"job": self.job, "run_id": self.run_id, **fact, **self.cost, "lake": self.store.url})

    def print_document(self, fact: Document) -> None:
        """Print the fact of the job where it is a published document."""
        self._print(fact.model_dump(mode="json"))

    def explain(self, *lines: str) -> None:
        """Tell people on stderr what the fact says, unless they want JSON only."""
        if not self._is_json:
            self._explained = True
            say(*lines)

    def suggest(self, job: str, *arguments: str, lake: str | None = None) -> None:
        """On a terminal, name the command that usually follows; ``lake`` if it is about another lake."""
        self._following.append(self.command(job, *arguments, lake=lake))

    def command(self, job: str, *arguments: str, lake: str | None = None) -> str:
        """A command about the same lake, or another one, that can be pasted into this shell."""
        return command_of(job, *arguments, lake=lake or self._lake_argument)

    def _print(self, fact: Mapping[str, Any]) -> None:
        self._printed = True
        stream = self._facts()
        if self._is_json or not stream.isatty():
            # In ASCII: a terminal would obey some control characters that pydantic leaves as they are.
            lines = [json.dumps(fact, default=str)]
        else:
            lines = [*map(escaped, summary_of(fact, whole=not self._explained, following=self._following))]
        stream.write("".join(line + "\n" for line in lines))
        stream.flush()

    def print_failure(self, error: PipelineError) -> None:
        """The fact of a job that ended in an error before it printed another; a terminal has the error itself."""
        if not self._printed and (self._is_json or not self._facts().isatty()):
            with contextlib.suppress(PipelineError):
                self.print_fact(
                    status=_how_it_ended(error),
                    error=type(error).__name__,
                    message=str(error),
                    retry_after_seconds=getattr(error, "retry_after", None),
                )

    def store_log(self) -> str:
        """Put log and metrics into the lake, beside those of earlier starts of the same run; where, if anywhere."""
        if not self._stores_log:
            return ""
        self.telemetry.gauge("job_duration_seconds", self.seconds, help_text="Wall time of the job", job=self.job)
        body = self._log_file.read_bytes()
        for number in range(1, MOST_LOGS):
            key = lake_layout.logs.log(self.run_id, number)
            put = self.store.put_new(key, body)
            # It is also ours if the answer to the first write was lost and the write was retried.
            if put.created or put.sha256 == hashlib.sha256(body).hexdigest():
                metrics = lake_layout.logs.metrics(self.run_id, number)
                self.store.put_new(metrics, self.telemetry.to_prometheus().encode())
                return str(self.store.local_path(key) or self.store.uri(key))
        return ""


@contextlib.contextmanager
def job_context(
    job: str,
    *,
    environ: Mapping[str, str] | None = None,
    is_one_of_many: bool = False,
    is_json: bool = False,
    **arguments: Any,  # noqa: ANN401 - settings of any type
) -> Iterator[Context]:
    """The context of one job. ``arguments`` are settings given on the command line; None means not given.

    An error leaves it with a note that says where the log is.
    """
    dotenv = read_dotenv()
    settings = checked_settings(environ, arguments, dotenv)
    heartbeat = Heartbeat(Path(settings.heartbeat_file) if settings.heartbeat_file else None)
    stop = Stop(on_check=heartbeat.beat)
    if threading.current_thread() is threading.main_thread():
        stop.install()
    with tempfile.TemporaryDirectory(prefix="data-pipeline-") as folder:
        log_file = Path(folder) / "log.jsonl"
        log_file.touch()
        with logs.configure_logging(
            settings.log_format, settings.log_level, copy=log_file, no_color=bool(settings.no_color)
        ):
            logs.bind(job=job)
            for found in dotenv.unknown_names() if environ is None else ():
                _log.warning(found)
            context = Context(
                job,
                settings,
                stop,
                log_file,
                progress=for_terminal("slices", kind=settings.term),
                is_one_of_many=is_one_of_many,
                is_json=is_json,
                lake_argument=arguments.get("lake_url"),
            )
            threading.Thread(target=_exit_after_grace, args=(stop, settings.grace_seconds), daemon=True).start()
            try:
                with _logged_errors(context):
                    yield context
            finally:
                context.close()


@contextlib.contextmanager
def _logged_errors(context: Context) -> Iterator[None]:
    """What ends a job is in its log, which is stored then; people read it once, from what catches the error."""
    ended: BaseException | None = None
    try:
        yield
    except PipelineError as error:
        ended = error
        _note(context, error)
        raise
    except Exception as error:
        ended = error
        missing = what_is_missing(error)
        if missing is None:
            _log.exception("a bug", **FOR_THE_COPY)
            raise
        ended = missing
        _note(context, missing)
        raise missing from error
    finally:
        with contextlib.suppress(PipelineError):
            stored = context.store_log()
            if stored and ended is not None:
                ended.add_note(f"Log: {stored}")


def _note(context: Context, error: PipelineError) -> None:
    _log.error(f"the job {_how_it_ended(error)}", error=type(error).__name__, message=str(error), **FOR_THE_COPY)
    context.print_failure(error)


def _how_it_ended(error: PipelineError) -> str:
    return "stopped" if isinstance(error, StoppedError) else "failed"


def _exit_after_grace(stop: Stop, grace_seconds: float) -> None:
    """End the process ``grace_seconds`` after a stop: a thread that hangs in a read cannot be interrupted."""
    stop.wait()
    time.sleep(grace_seconds)
    try:
        stop.check()
    except StoppedError as error:
        say(f"{error}; not all of it ended within {grace_seconds:g} s")
        os._exit(128 + error.signal_number)
