"""A lake of many runs costs no more than one of a few: in requests and bytes, and in memory."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks import lakes, runs
from data_pipeline.open_payments.ledger.committed import proved_releases
from data_pipeline.open_payments.operations import diff, gc, status, verify
from data_pipeline.open_payments.run import Selection, commit, rerun, run, upload
from data_pipeline.runs.listing import newest
from data_pipeline.settings import Settings
from data_pipeline.wiring import Services
from etl_core.lake import Body, ObjectInfo, PutResult
from tests.end_to_end.conftest import YEAR, World

KEYS_PER_PAGE = 1000


class CountingStore(lakes.UnsyncedStore):
    """Counts the requests that S3 would get, and the bytes it would send."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.cost: Counter[str] = Counter()

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        self.cost["put"] += 1
        return super().put_new(key, body, sha256=sha256)

    def get(self, key: str) -> bytes | None:
        body = super().get(key)
        self.cost["get"] += 1
        self.cost["bytes"] += len(body or b"")
        return body

    def read(self, key: str) -> Iterator[bytes]:
        self.cost["get"] += 1
        for chunk in super().read(key):
            self.cost["bytes"] += len(chunk)
            yield chunk

    def head(self, key: str) -> ObjectInfo | None:
        self.cost["head"] += 1
        return super().head(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.cost["pages"] += 1
        for number, entry in enumerate(super().list(prefix), 1):
            yield entry
            self.cost["pages"] += number % KEYS_PER_PAGE == 0


class CountedServices(Services):
    """The services of a command, with a lake that counts, and a clock by which no two runs begin in one second."""

    _ticks = itertools.count()

    @classmethod
    def now(cls) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=next(cls._ticks))

    @staticmethod
    def open_store(url: str, *, named: str) -> CountingStore:
        del named
        return CountingStore(Path(url))


def compare(services: Services) -> object:
    (older, newer) = proved_releases(services.store, "general-payments", YEAR)
    made = diff.Comparison(services.store, (older, newer), progress=services.progress, check_stop=services.stop.check)
    return made.run()


def upload_seed(services: Services) -> object:
    with closing(services.open_store(f"{services.settings.lake_url}-copy", named="the other lake")) as other:
        return upload(services.store, other, lakes.SEED)


def verify_seed(services: Services) -> object:
    return verify.verify_run(
        services.store, lakes.SEED, source=None, progress=services.progress, check_stop=services.stop.check
    )


def one_company(services: Services, company_id: str, *, with_manifest: bool) -> object:
    selection = Selection(dataset="general-payments", year=YEAR, company_id=company_id)
    return run(services, selection, with_manifest=with_manifest)


COMMANDS: dict[str, Callable[[Services, list[str]], object]] = {
    "status of the newest run": lambda services, _: status.progress_of_run(
        services.store, newest(services.store, [""]), services.now()
    ),
    "the same command again": lambda services, companies: run(
        services, Selection(dataset="general-payments", year=YEAR, max_files=len(companies) - 2)
    ),
    "verify": lambda services, _: verify_seed(services),
    "diff_releases": lambda services, _: compare(services),
    "gc": lambda services, _: gc.unnamed(services.store, services.now() - timedelta(days=1)),
    "upload_raw": lambda services, _: upload_seed(services),
    "download_company": lambda services, companies: one_company(services, companies[0], with_manifest=False),
    "a new selection": lambda services, companies: one_company(services, companies[-2], with_manifest=True),
    "rerun": lambda services, _: rerun(services, lakes.PARTIAL, "failed"),
    "write_manifest": lambda services, _: commit(services, lakes.OPEN),
}


def costs(world: World, lake: Path, companies: list[str]) -> dict[str, Counter[str]]:
    found = {}
    for command, call in COMMANDS.items():
        settings = Settings(open_payments_url=world.source.url, lake_url=str(lake))
        with CountedServices(settings) as services:
            call(services, companies)
            assert isinstance(services.store, CountingStore)
            found[command] = services.store.cost
    return found


@pytest.fixture
def seed(world: World) -> list[str]:
    """The companies of a lake that holds the run all others are copies of."""
    companies = sorted(world.source.truth(YEAR)["companies"])
    runs.seed(str(world.lake), companies, world.source.url)
    return companies


@pytest.mark.parametrize("world", [{"first_companies": 5}], indirect=True)
@pytest.mark.parametrize("shape", ["whole years", "small runs"])
def test_no_command_reads_more_in_a_lake_of_many_runs(world, seed, shape):
    few, many = world.lake.with_name("few"), world.lake.with_name("many")
    for lake, number in ((few, 20), (many, 1_100)):
        shutil.copytree(world.lake, lake)
        lakes.fill(lakes.UnsyncedStore(lake), shape, number, seed[-1])
    less, more = costs(world, few, seed), costs(world, many, seed)
    for command, cost in more.items():
        assert (command, cost - Counter(bytes=cost["bytes"])) == (
            command,
            less[command] - Counter(bytes=less[command]["bytes"]),
        )
        # Moments are written with up to six digits of a second.
        assert (command, abs(cost["bytes"] - less[command]["bytes"]) < 100) == (command, True)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("world", [{"first_companies": 200, "scale": 0.001}], indirect=True)
def test_no_command_needs_more_memory_in_a_lake_of_many_runs(world, tmp_path):
    companies = sorted(world.source.truth(YEAR)["companies"])
    sizes: dict[lakes.Shape, tuple[int, int]] = {"whole years": (20, 200), "small runs": (20, 4_000)}
    rows = runs.in_folders(tmp_path / "many", companies, sizes, world.source.url)
    peaks: dict[tuple[object, object], list[int]] = {}
    for row in rows:
        peaks.setdefault((row["lake"], row["case"]), []).append(int(str(row["peak MB"])))
    grown = {case: (few, many) for case, (few, many) in peaks.items() if many > few + 12}
    assert not grown
