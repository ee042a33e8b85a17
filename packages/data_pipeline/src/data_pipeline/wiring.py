"""Environment to settings to the clients a job asks for: the only reader of the environment."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from data_pipeline import lake_layout
from data_pipeline.settings import Settings
from etl_core import logs
from etl_core.errors import ConfigError, PipelineError, StoppedError
from etl_core.progress import for_terminal
from etl_core.stop import Stop
from etl_core.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from data_pipeline.fan_out.shared_backoff import Board
    from data_pipeline.open_payments.run import Pipeline
    from data_pipeline.open_payments.source.api import Source
    from etl_core.budget import Budget
    from etl_core.kube.client import Cluster
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress
    from etl_core.retry import Retry

DOTENV = Path(".env")
# A run that went on after breaks keeps a log for each; past this many only the last are lost.
MOST_LOGS = 1000

_log = structlog.get_logger()


def settings_from(environ: Mapping[str, str], dotenv: Path = DOTENV) -> Settings:
    """Settings from the environment, then from ``.env``.

    Raises:
        ConfigError: names the setting, where it came from and what is wrong with it; or the
            line of ``.env`` that cannot be read.

    """
    from_file = _read_dotenv(dotenv)
    said = {name: value for name, value in environ.items() if value != ""}
    said_in = dict.fromkeys(from_file, str(dotenv)) | dict.fromkeys(said, "the environment")
    return Settings.from_mapping(from_file | said, said_in=said_in)


def _read_dotenv(path: Path) -> dict[str, str]:
    from dotenv.parser import parse_stream

    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", advice="Mend it or move it away.") from error
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise ConfigError(
                f"{path}, line {binding.original.line}, is not NAME=value.",
                advice="Mend the line or comment it out with #.",
            )
        if binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return values


class Context:
    """What a job works with; each client is made when first asked for."""

    def __init__(
        self, job: str, settings: Settings, stop: Stop, log_file: Path, *, is_one_of_many: bool = False
    ) -> None:
        self.job = job
        self.settings = settings
        self.stop = stop
        self.telemetry = Telemetry()
        self.started = time.monotonic()
        self.run_id = settings.run_id
        self._log_file = log_file
        self._is_one_of_many = is_one_of_many
        self._keeps_log = False
        self._emitted = False

    @cached_property
    def store(self) -> ObjectStore:
        """The lake of ``LAKE_URL``."""
        return self.open_store(self.settings.lake_url)

    @staticmethod
    def open_store(url: str) -> ObjectStore:
        """Another lake."""
        from etl_core.lake import open_store

        return open_store(url)

    @cached_property
    def retry(self) -> Retry:
        """The retry policy of everything asked of the source."""
        from etl_core.retry import Retry, RetryPolicy

        policy = RetryPolicy(
            attempts=self.settings.source_attempts, first_wait_seconds=self.settings.source_first_wait_seconds
        )
        return Retry(policy, sleep=self.stop.sleep)

    @cached_property
    def source(self) -> Source:
        """CMS Open Payments, or what ``OPEN_PAYMENTS_URL`` names."""
        from data_pipeline.open_payments.source.api import Source, is_temporary
        from etl_core.http import HttpClient, HttpSettings, make_session

        url = self.settings.open_payments_url
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"OPEN_PAYMENTS_URL={url!r} is no address.", advice="It begins with https://.")
        values = HttpSettings(
            base_url=url,
            user_agent=self.settings.open_payments_user_agent,
            pool_size=self.settings.source_max_streams,
            read_seconds=self.settings.source_timeout_seconds,
        )
        client = HttpClient(
            values,
            session=make_session(values),
            budget=self._budget(url),
            retry=self.retry,
            telemetry=self.telemetry,
            check_stop=self.stop.check,
            is_temporary=is_temporary,
        )
        return Source(client)

    def _budget(self, url: str) -> Budget:
        """How much of the source this process may use; one of many pods also hears of what others learn."""
        from etl_core.budget import Budget

        ceiling, folder = self.settings.source_max_streams, _budget_folder(url)
        sleep, check_stop = self.stop.sleep, self.stop.check
        if self._is_one_of_many:
            from data_pipeline.fan_out.shared_backoff import SharedBudget

            return SharedBudget(ceiling, folder, self.board, sleep=sleep, check_stop=check_stop)
        return Budget(ceiling, folder, sleep=sleep, check_stop=check_stop)

    @cached_property
    def board(self) -> Board:
        """Where the pods of a fan-out tell each other to wait."""
        from data_pipeline.fan_out.shared_backoff import Board

        return Board(self.store, urlsplit(self.settings.open_payments_url).netloc)

    def cluster(self, namespace: str, *, patience_seconds: float = 300.0) -> Cluster:
        """The Kubernetes cluster of the pod, or of the kubeconfig; an upgrade of its API server takes minutes."""
        from etl_core.kube.client import connect
        from etl_core.retry import Retry, RetryPolicy

        # The time bounds it, not the tries: a server under load asks to come again after a second, each time.
        policy = RetryPolicy(attempts=1000, total_seconds=patience_seconds, longest_wait_seconds=15.0)
        return connect(namespace, retry=Retry(policy, sleep=self.stop.sleep))

    @cached_property
    def progress(self) -> Progress:
        """Bars or lines."""
        return for_terminal()

    @cached_property
    def pipeline(self) -> Pipeline:
        """The main work."""
        from data_pipeline.open_payments.run import Pipeline

        return Pipeline(
            self.source,
            self.store,
            retry=self.retry,
            now=self.now,
            progress=self.progress,
            streams=self.settings.source_max_streams,
        )

    @staticmethod
    def now() -> datetime:
        """The time in UTC, to the microsecond."""
        return datetime.now(UTC)

    def begin(self, run_id: str = "") -> None:
        """From here on this is a run, named by its start if by nobody: its name is on every line, its log is kept."""
        from data_pipeline.open_payments.ledger.plans import default_run_id

        self.run_id = run_id or self.run_id or default_run_id(self.now())
        self._keeps_log = True
        logs.bind(run_id=self.run_id)

    @property
    def seconds(self) -> float:
        """Since the job began."""
        return time.monotonic() - self.started

    @property
    def cost(self) -> dict[str, Any]:
        """What the job cost at the source so far, for its fact."""
        return {
            "seconds": round(self.seconds, 3),
            "requests": int(self.telemetry.value("source_requests_total")),
            "retries": int(self.telemetry.value("source_retries_total")),
        }

    def emit(self, **fact: Any) -> None:  # noqa: ANN401 - JSON
        """Print the fact of the run: one JSON line on stdout, the only one."""
        self._emitted = True
        whole = {"job": self.job, "run_id": self.run_id, **fact, **self.cost, "lake": self.store.url}
        sys.stdout.write(json.dumps(whole, default=str) + "\n")
        sys.stdout.flush()

    def emit_failure(self, error: PipelineError) -> None:
        """The fact of a job that ended in an error before it had another."""
        if not self._emitted:
            with contextlib.suppress(PipelineError):
                self.emit(status=_ended(error), error=type(error).__name__, message=str(error))

    def keep_log(self) -> None:
        """Put log and metrics into the lake, beside those of earlier legs of the same run."""
        if not self._keeps_log:
            return
        self.telemetry.gauge("job_duration_seconds", self.seconds, help_text="Wall time of the job", job=self.job)
        body = self._log_file.read_bytes()
        for number in range(1, MOST_LOGS):
            put = self.store.put_new(lake_layout.log(self.run_id, number), body)
            # Ours it is, too, where the answer that told so was lost and the write was repeated.
            if put.created or put.sha256 == hashlib.sha256(body).hexdigest():
                self.store.put_new(lake_layout.metrics(self.run_id, number), self.telemetry.to_prometheus().encode())
                return

    def close(self) -> None:
        """Release what was opened."""
        if "store" in self.__dict__:
            self.store.close()


def _budget_folder(url: str) -> Path:
    """Where all processes of this user on this machine meet that ask the same source."""
    source = re.sub(r"[^a-z0-9.]+", "-", urlsplit(url).netloc.lower())
    return Path(tempfile.gettempdir()) / f"data-pipeline-budget-{os.getuid()}" / source


@contextlib.contextmanager
def job_context(
    job: str,
    *,
    environ: Mapping[str, str] | None = None,
    is_one_of_many: bool = False,
    **arguments: Any,  # noqa: ANN401 - settings of any type
) -> Iterator[Context]:
    """The context of one job. ``arguments`` are settings given on the command line; None means not given.

    ``is_one_of_many`` says that other machines ask the source for the same run.
    """
    if environ is None:
        environ = os.environ
        # boto3 reads its own settings from the environment and knows nothing of ``.env``.
        for name, value in _read_dotenv(DOTENV).items():
            if name.startswith("AWS_"):
                os.environ.setdefault(name, value)
    settings = settings_from(environ)
    given = {name: value for name, value in arguments.items() if value is not None}
    settings = settings.model_copy(update=given)
    if settings.run_id:
        lake_layout.checked_run_id(settings.run_id)
    stop = Stop()
    if threading.current_thread() is threading.main_thread():
        stop.install()
    with tempfile.TemporaryDirectory(prefix="data-pipeline-") as folder:
        log_file = Path(folder) / "log.jsonl"
        log_file.touch()
        with logs.configured(settings.log_format, settings.log_level, copy=log_file, no_color=bool(settings.no_color)):
            logs.bind(job=job)
            context = Context(job, settings, stop, log_file, is_one_of_many=is_one_of_many)
            watch = threading.Thread(target=_end_after_grace, args=(stop, settings.grace_seconds), daemon=True)
            watch.start()
            try:
                yield context
            except PipelineError as error:
                _log.error(f"the job {_ended(error)}", error=type(error).__name__, message=str(error))
                context.emit_failure(error)
                raise
            except Exception:
                _log.exception("a bug")
                raise
            finally:
                try:
                    with contextlib.suppress(PipelineError):
                        context.keep_log()
                finally:
                    context.close()


def _ended(error: PipelineError) -> str:
    return "stopped" if isinstance(error, StoppedError) else "failed"


def _end_after_grace(stop: Stop, grace_seconds: float) -> None:
    """A thread that hangs in a read cannot be interrupted; past the grace period the process ends without it."""
    stop.wait()
    time.sleep(grace_seconds)
    try:
        stop.check()
    except StoppedError as error:
        sys.stderr.write(f"{error}; not all of it ended within {grace_seconds:g} s\n")
        sys.stderr.flush()
        os._exit(128 + error.signal_number)
