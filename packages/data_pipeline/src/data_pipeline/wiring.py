"""From settings to the clients that a job, a schedule or a notebook asks for."""

from __future__ import annotations

import contextlib
import os
import re
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from data_pipeline import __version__, lake_layout
from data_pipeline.settings import extras
from data_pipeline.settings.environment import load_settings
from etl_core.errors import AccessError, ConfigError
from etl_core.progress import Progress
from etl_core.stop import Stop
from etl_core.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from data_pipeline.customers.fetch import Crm
    from data_pipeline.fan_out.shared_backoff import SharedBackoff
    from data_pipeline.lakehouse.warehouse import Warehouse
    from data_pipeline.open_payments.pipeline import Pipeline
    from data_pipeline.open_payments.source.api import Source
    from data_pipeline.settings import Settings
    from data_pipeline.settings.environment import Dotenv
    from etl_core.aws import GlueDatabase
    from etl_core.budget import Budget
    from etl_core.database import Database
    from etl_core.http import HttpClient, HttpPolicy, HttpSettings
    from etl_core.kube.client import Cluster
    from etl_core.lake import ObjectStore
    from etl_core.lake.s3 import S3Access
    from etl_core.private_folder import PrivateFolder
    from etl_core.retry import Retry


def checked_settings(
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
    dotenv: Dotenv | None = None,
) -> Settings:
    """``load_settings`` with a run id that can be part of a key.

    Raises:
        ConfigError: a setting is wrong. UsageError: the run id is.

    """
    settings = load_settings(environ, overrides, dotenv=dotenv)
    if settings.run_id:
        lake_layout.ids.checked_run_id(settings.run_id)
    return settings


class Services:
    """The clients that ``settings`` describe. Each is made when first asked for; ``close`` releases them.

    ``progress`` and ``stop`` are silent by default. ``is_one_of_many`` says that other machines ask the source for
    the same run.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        stop: Stop | None = None,
        progress: Progress | None = None,
        is_one_of_many: bool = False,
    ) -> None:
        self.settings = settings
        self.stop = stop or Stop()
        self.progress = progress or Progress()
        self.telemetry = Telemetry()
        self._is_one_of_many = is_one_of_many

    @classmethod
    def from_environment(cls, **overrides: object) -> Self:
        """From the environment and ``.env``; ``overrides`` are settings by name, as in ``lake_url="./data"``."""
        return cls(checked_settings(None, overrides))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def store(self) -> ObjectStore:
        """The lake of ``LAKE_URL``."""
        return self.open_store(self.settings.lake_url, named="LAKE_URL")

    @property
    def s3_access(self) -> S3Access | None:
        """How another client reaches a lake in S3."""
        if not self.store.url.startswith("s3://"):
            return None
        from etl_core.lake.s3 import S3Store

        return self.store.access() if isinstance(self.store, S3Store) else None

    @staticmethod
    def open_store(url: str, *, named: str) -> ObjectStore:
        """Another lake."""
        from etl_core.lake import open_store

        return open_store(url, named=named)

    @property
    def database(self) -> Database:
        """The database of ``DATABASE_URL``, which is only read; raises ``ConfigError`` if a library is missing."""
        extras.require("sqlalchemy", "db")
        from etl_core.database import Database

        return Database(self.settings.database_url.get_secret_value(), named="DATABASE_URL")

    @contextlib.contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        """The warehouse of ``WAREHOUSE_URL``, in one transaction where it has them.

        Raises:
            ConfigError: there is no such address, or a library is missing. Others as the warehouse.

        """
        url = self.settings.warehouse_url.get_secret_value()
        form = re.fullmatch(r"redshift://([a-z0-9-]+)/([A-Za-z0-9_]+)", url)
        if form:
            from data_pipeline.lakehouse.warehouse_redshift import RedshiftWarehouse
            from etl_core.aws import RedshiftStatements, make_client

            self._require_s3("Redshift")
            client = make_client("redshift-data")
            statements = RedshiftStatements(client, workgroup=form[1], database=form[2], sleep=self.stop.sleep)
            yield RedshiftWarehouse(statements, self.store)
            return
        if not url.startswith(("postgresql://", "postgres://")):
            raise ConfigError(
                "WAREHOUSE_URL is not set, or names no warehouse: nothing is loaded without it.",
                advice="It is written postgresql://user:password@host/database or redshift://workgroup/database.",
            )
        extras.require("psycopg", "db")
        from data_pipeline.lakehouse.database import Limits
        from data_pipeline.lakehouse.warehouse_postgresql import PostgreSqlWarehouse
        from etl_core.postgresql import PostgreSql

        limits = Limits(self.settings.lakehouse_memory_mb, 1)
        with PostgreSql(url, named="WAREHOUSE_URL") as database:
            yield PostgreSqlWarehouse(database, self.store, limits, self.stop.check)

    @property
    def glue(self) -> GlueDatabase:
        """The Glue database of ``CATALOGUE_DATABASE``; ``ConfigError`` if it names none, or the lake is not in S3."""
        from etl_core.aws import GlueDatabase, make_client

        if not self.settings.catalogue_database:
            raise ConfigError("CATALOGUE_DATABASE is not set: it names the Glue database that tables are written to.")
        self._require_s3("Athena")
        return GlueDatabase(make_client("glue"), self.settings.catalogue_database)

    def _require_s3(self, reader: str) -> None:
        if not self.store.url.startswith("s3://"):
            raise ConfigError(
                f"{reader} reads lakes in S3 only.", advice=f"Copy {self.store.url} there with upload_raw."
            )

    @cached_property
    def retry(self) -> Retry:
        """The retry policy of every request to the source."""
        from etl_core.retry import Retry, RetryPolicy

        policy = RetryPolicy(
            attempts=self.settings.source_attempts, first_wait_seconds=self.settings.source_first_wait_seconds
        )
        return Retry(policy, sleep=self.stop.sleep)

    @cached_property
    def source(self) -> Source:
        """CMS Open Payments, or what ``OPEN_PAYMENTS_URL`` names."""
        from data_pipeline.open_payments.source.api import POLICY, Source
        from etl_core.http import HttpSettings, require_address

        url = self.settings.open_payments_url
        require_address(url, named="OPEN_PAYMENTS_URL")
        values = HttpSettings(
            base_url=url,
            user_agent=self.settings.open_payments_user_agent,
            pool_size=self.settings.source_max_streams,
            read_seconds=self.settings.source_timeout_seconds,
        )
        return Source(self._client(values, POLICY, self._budget(url), self.retry))

    def _client(self, values: HttpSettings, policy: HttpPolicy, budget: Budget, retry: Retry) -> HttpClient:
        from etl_core.http import HttpClient, make_session

        return HttpClient(
            values,
            policy,
            session=make_session(values),
            budget=budget,
            retry=retry,
            telemetry=self.telemetry,
            check_stop=self.stop.check,
        )

    def _budget(self, url: str) -> Budget:
        """How much of the source this process may use; one of many pods also follows their shared backoff."""
        from etl_core.budget import Budget

        ceiling, folder = self.settings.source_max_streams, _budget_folder(url, self.settings)
        sleep, check_stop = self.stop.sleep, self.stop.raise_if_requested
        if self._is_one_of_many:
            from data_pipeline.fan_out.shared_backoff import SharedBudget

            return SharedBudget(ceiling, folder, self.backoff, sleep=sleep, check_stop=check_stop)
        return Budget(ceiling, folder, sleep=sleep, check_stop=check_stop)

    @cached_property
    def backoff(self) -> SharedBackoff:
        """The backoff that the pods of a fan-out share."""
        from data_pipeline.fan_out.shared_backoff import SharedBackoff

        return SharedBackoff(self.store, urlsplit(self.settings.open_payments_url).netloc)

    def cluster(self, namespace: str, *, patience_seconds: float = 300.0) -> Cluster:
        """The Kubernetes cluster of the pod, or of the kubeconfig; an upgrade of its API server takes minutes."""
        extras.require("kubernetes", "kubernetes")
        from etl_core.kube.client import connect
        from etl_core.retry import Retry, RetryPolicy

        # Bounded by time, not by attempts: a server under load says "retry after 1 s" each time.
        policy = RetryPolicy(attempts=1000, total_seconds=patience_seconds, longest_wait_seconds=15.0)
        return connect(
            namespace,
            default_namespace="data-pipeline",
            retry=Retry(policy, sleep=self.stop.sleep),
            user_agent=f"openpayments-data-pipeline/{__version__}",
        )

    @property
    def parsed_projects(self) -> PrivateFolder | None:
        """Where dbt's reading of a project is kept for the next build; None if this user has no folder for it."""
        with contextlib.suppress(AccessError):
            return _cache_folder(self.settings, "dbt")
        return None

    @cached_property
    def pipeline(self) -> Pipeline:
        """What runs of Open Payments are made with."""
        from data_pipeline.open_payments.pipeline import Pipeline

        return Pipeline(
            self.source,
            self.store,
            retry=self.retry,
            now=self.now,
            progress=self.progress,
            stop=self.stop,
            streams=self.settings.source_max_streams,
        )

    @cached_property
    def crm(self) -> Crm:
        """The CRM of ``API_BASE_URL``, and what its customers are fetched with. One request at a time."""
        from data_pipeline.customers.api import POLICY, Api
        from data_pipeline.customers.fetch import Crm
        from etl_core.budget import Budget
        from etl_core.http import HttpSettings, require_address
        from etl_core.paging.pages import Fields
        from etl_core.retry import Retry, RetryPolicy

        said = self.settings
        url, token = said.api_base_url.rstrip("/"), said.api_token.get_secret_value()
        require_address(url, named="API_BASE_URL")
        if not token:
            raise ConfigError("API_TOKEN is not set: give the API's token as a variable, or in .env.")
        values = HttpSettings(
            base_url=url,
            user_agent=f"openpayments-data-pipeline/{__version__}",
            bearer_token=token,
            pool_size=1,
            read_seconds=said.api_timeout_seconds,
        )
        # Waits of 1, 2, 4 and 8 seconds, and up to half as much again.
        policy = RetryPolicy(
            attempts=said.max_retries,
            first_wait_seconds=said.api_first_wait_seconds,
            longest_wait_seconds=8 * said.api_first_wait_seconds,
            jitter_from=1.0,
        )
        retry = Retry(policy, sleep=self.stop.sleep)
        budget = Budget(1, _budget_folder(url, said), sleep=self.stop.sleep, check_stop=self.stop.raise_if_requested)
        client = self._client(values, POLICY, budget, retry)
        return Crm(
            api=Api(client, said.api_customers_path, url + said.api_customers_path),
            store=self.store,
            retry=retry,
            now=self.now,
            progress=self.progress,
            fields=Fields(rows=said.api_rows_field, metadata=said.api_metadata_field, id=said.api_id_field),
            per_page=said.records_per_page,
            most_sweeps=said.api_max_sweeps,
            give_up_after=said.api_max_failures,
        )

    @staticmethod
    def now() -> datetime:
        """The time in UTC, to the microsecond."""
        return datetime.now(UTC)

    def close(self) -> None:
        """Release what was opened."""
        if "store" in self.__dict__:
            self.store.close()


def _budget_folder(url: str, settings: Settings) -> PrivateFolder:
    """The folder that all processes of this user on this machine share if they ask the same source."""
    return _cache_folder(settings, "budget", re.sub(r"[^a-z0-9.]+", "-", urlsplit(url).netloc.lower()))


def _cache_folder(settings: Settings, *names: str) -> PrivateFolder:
    """A folder of all processes of this user on this machine.

    The cache folder comes first: ``XDG_RUNTIME_DIR`` exists in a login session and not under cron, and two folders
    would be two limits. TMPDIR has no say, for the same reason.

    Raises:
        AccessError: none can be used.

    """
    from etl_core.private_folder import PrivateFolder, first_usable

    caches = [settings.xdg_cache_home, *(f"{home}/.cache" for home in _homes()), settings.xdg_runtime_dir]
    folders = [
        PrivateFolder(Path(base), "data-pipeline", *names) for base in dict.fromkeys(caches) if Path(base).is_absolute()
    ]
    return first_usable(folders, advice="Set XDG_CACHE_HOME to a folder of your own.")


def _homes() -> Iterator[str]:
    """The home of this user: by HOME, and by the list of users, since ``sudo`` may leave another user's HOME."""
    import pwd

    with contextlib.suppress(RuntimeError):
        yield str(Path.home())
    with contextlib.suppress(KeyError):  # a container may run as a number that nobody has listed
        yield pwd.getpwuid(os.getuid()).pw_dir
