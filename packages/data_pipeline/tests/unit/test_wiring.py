import contextlib
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_pipeline.fan_out.shared_backoff import Backoff, SharedBudget
from data_pipeline.open_payments.source.api import POLICY
from data_pipeline.settings import Settings
from data_pipeline.wiring import Services
from etl_core.errors import BlockedError, ConfigError, StoppedError, UsageError
from etl_core.http import HttpSettings
from etl_core.lake.directory import DirectoryStore
from etl_core.progress import Progress
from etl_core.retry import RetryPolicy
from packages.data_pipeline.tests.unit.folder_case import FolderCase


@contextlib.contextmanager
def _home(path: Path) -> Iterator[None]:
    path.mkdir(exist_ok=True)
    before = os.environ["HOME"]
    os.environ["HOME"] = str(path)
    try:
        yield
    finally:
        os.environ["HOME"] = before


class TheServices(FolderCase):
    def services(self, *, is_one_of_many: bool = False, **settings: Any) -> Services:
        values = {"lake_url": str(self.folder / "lake"), "xdg_cache_home": str(self.folder / "cache")} | settings
        services = Services(Settings(**values), is_one_of_many=is_one_of_many)
        self.addCleanup(services.close)
        return services

    def test_are_made_when_first_asked_for(self):
        services = self.services()

        made = {"store", "source", "retry", "pipeline"}
        self.assertEqual(made & set(vars(services)), set())
        for name in made:
            self.assertIs(getattr(services, name), getattr(services, name))

    def test_open_the_lake_of_the_settings_or_another(self):
        services = self.services()

        store = services.store
        self.assertIsInstance(store, DirectoryStore)
        self.assertEqual(store.url, (self.folder / "lake").as_uri())
        self.assertEqual(
            services.open_store(str(self.folder / "other"), named="--to").url, (self.folder / "other").as_uri()
        )

    def test_ask_the_source_as_the_settings_say(self):
        services = self.services(
            open_payments_url="http://127.0.0.1:1/x",
            open_payments_user_agent="us",
            source_max_streams=5,
            source_timeout_seconds=7.5,
            source_attempts=3,
            source_first_wait_seconds=0.25,
        )

        client = services.source._http

        self.assertEqual(client._settings, HttpSettings("http://127.0.0.1:1/x", "us", pool_size=5, read_seconds=7.5))
        self.assertEqual(client._session.headers["User-Agent"], "us")
        self.assertEqual(client._budget.ceiling, 5)
        self.assertEqual(client._budget._folder.path, self.folder / "cache/data-pipeline/budget/127.0.0.1-1")
        self.assertIs(client._retry, services.retry)
        self.assertIs(client._telemetry, services.telemetry)
        self.assertIs(client._policy, POLICY)
        self.assertEqual(services.retry._policy, RetryPolicy(attempts=3, first_wait_seconds=0.25))
        self.assertEqual(services.pipeline._streams, 5)

    def test_of_one_of_many_pods_hear_of_what_the_others_learn(self):
        services = self.services(open_payments_url="http://127.0.0.1:1", is_one_of_many=True)

        budget = services.source._http._budget

        assert isinstance(budget, SharedBudget)
        self.assertIs(budget._backoff, services.backoff)
        self.assertEqual(budget.ceiling, services.settings.source_max_streams)
        services.backoff.publish(Backoff(time.time() + 600, "403 by the edge"))
        with self.assertRaises(BlockedError), budget.slot():
            pass
        self.assertTrue((self.folder / "lake" / "metadata/sources/127.0.0.1-1/not_before.json").exists())

    def test_keep_the_limit_of_requests_where_the_user_keeps_caches(self):
        (self.folder / "taken").touch()
        cases: list[tuple[dict[str, Any], Path]] = [
            ({"xdg_cache_home": str(self.folder / "a")}, self.folder / "a"),
            ({"xdg_cache_home": "", "xdg_runtime_dir": str(self.folder)}, self.folder / "home" / ".cache"),
            ({"xdg_cache_home": "relative"}, self.folder / "home" / ".cache"),
            ({"xdg_cache_home": str(self.folder / "taken")}, self.folder / "home" / ".cache"),
        ]
        for settings, base in cases:
            with self.subTest(**settings), _home(self.folder / "home"):
                budget = self.services(open_payments_url="http://host.test:8/x", **settings).source._http._budget
                self.assertEqual(budget._folder.path, base / "data-pipeline" / "budget" / "host.test-8")

    def test_of_one_process_ask_the_lake_nothing_of_the_kind(self):
        self.assertNotIsInstance(self.services().source._http._budget, SharedBudget)

    def test_share_what_they_stand_on(self):
        services = self.services()

        pipeline = services.pipeline

        self.assertIs(pipeline._source, services.source)
        self.assertIs(pipeline._store, services.store)
        self.assertIs(pipeline._retry, services.retry)
        self.assertIs(pipeline._progress, services.progress)
        self.assertEqual(pipeline._now, services.now)

    def test_stop_when_the_job_is_asked_to(self):
        """Before a request, in a chunk, and while they wait for the next try."""
        services = self.services()
        services.stop.request(signal.SIGTERM)
        client = services.source._http

        for what in (lambda: services.source.count("d"), lambda: services.retry._sleep(1000), client._check_stop):
            with self.subTest(), self.assertRaises(StoppedError) as caught:
                what()
            self.assertEqual(caught.exception.signal_number, signal.SIGTERM)

    def test_refuse_an_address_that_is_none(self):
        for url in (
            "openpaymentsdata.cms.gov", "ftp://x", "file:///x", "https://", "http://[bad", "http://a b/", "http://x:port",
            "http://x:99999",
        ):  # fmt: skip
            with self.subTest(url=url), self.assertRaises(ConfigError) as caught:
                _ = self.services(open_payments_url=url).source
            self.assertTrue(str(caught.exception).startswith(f"OPEN_PAYMENTS_URL={url!r} is no address. It is written"))

    def test_show_no_progress_unless_given_one(self):
        self.assertIs(type(self.services().progress), Progress)

    def test_know_the_time_in_utc(self):
        services = self.services()
        before = datetime.now(UTC)

        self.assertEqual(services.now().tzinfo, UTC)
        self.assertGreaterEqual(services.now(), before)

    def test_come_from_the_environment_and_keyword_arguments(self):
        (self.folder / ".env").write_text("LAKE_URL=elsewhere\nSOURCE_ATTEMPTS=2\n")

        with Services.from_environment(lake_url="here") as services:
            self.assertEqual((services.settings.lake_url, services.settings.source_attempts), ("here", 2))
        with self.assertRaises(UsageError):
            Services.from_environment(run_id="../x")

    def test_release_the_lake_if_it_was_opened(self):
        self.services().close()
        self.assertFalse((self.folder / "lake").exists())

        services = self.services()
        scratch = services.store.scratch_file().parent
        self.assertTrue(scratch.exists())
        services.close()
        self.assertFalse(scratch.exists())
