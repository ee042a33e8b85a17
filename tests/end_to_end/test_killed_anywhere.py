"""A process killed at any write or any instant loses at most what was under way; the same command finishes the work.

The scratch disk (TMPDIR) is a folder of each process's own and is thrown away after it, as a container's is.
"""

import contextlib
import hashlib
import json
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.end_to_end import killed_run
from tests.end_to_end.programs import Program
from tests.end_to_end.s3 import SETTINGS, Bucket, Proxy, s3_server

STREAMS = 2
ROWS_PER_WINDOW = 300
KILLED, TERMINATED = -signal.SIGKILL, 128 + signal.SIGTERM
# Three companies, the first one cut into three windows of the size above.
SMALL = {"company_rows": {"100000000053": 700, "100000000054": 300, "100000000062": 40}, "first_companies": None}
# Windows of the real size: two of one company, and eleven small slices, at a rate at which a run takes some seconds.
LARGE = {
    "company_rows": {"100000000053": 61_000, **{str(100000000054 + number): 400 for number in range(11)}},
    "first_companies": None,
    "bytes_per_second": 40e6,
}
PLACES = ("directory", "s3")
# What a lake holds that is of no run, and so is not copied with one.
NOT_OF_A_RUN = ("metadata/logs/", "metadata/totals/", "metadata/dataset_ids_cache.json")


@pytest.fixture(scope="module")
def server():
    with s3_server() as url:
        yield url


@dataclass
class Life:
    """One lake from its first write to its last, and what became of the processes that wrote it."""

    world: Any
    bucket: Bucket | None = None
    legs: int = 0
    orderly: tuple[int, ...] = (0, TERMINATED)
    # Windows that an audit vouches for, as of the end of the last leg; how many each leg had under way at its end.
    durable: set[Any] = field(default_factory=set)
    under_way: list[int] = field(default_factory=list)

    @property
    def url(self):
        return str(self.world.lake) if self.bucket is None else f"s3://{self.bucket.name}"

    @contextlib.contextmanager
    def leg(self, *command, **environment):
        """A process of the command, with a name and a scratch disk of its own that does not outlive it."""
        self.legs += 1
        name = f"leg-{self.legs}"
        scratch = self.world.lake.parent / name
        scratch.mkdir()
        # The source is waited for: on a busy machine, what is late is not to be taken for what a kill did.
        given = {"SOURCE_MAX_STREAMS": str(STREAMS), "SOURCE_TIMEOUT_SECONDS": "60", "OPEN_PAYMENTS_USER_AGENT": name}
        given |= {"LAKE_URL": self.url, "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(scratch)}
        process = Program(*command, env={**self.world.environment, **given, **environment}, cwd=scratch)
        durable = self.durable
        try:
            yield process
        finally:
            process.kill()
            process.communicate()
            if process.returncode in self.orderly:
                # The folder where the processes of a machine meet stays.
                left = [path.name for path in scratch.iterdir() if path.name != "data-pipeline"]
                assert not left, "a process that ended in order left something in TMPDIR"
            shutil.rmtree(scratch)
        asked = self.asked(name)
        assert len(asked) == len(set(asked)), "one process asked for a window twice"
        assert not durable & set(asked), "a durable window was fetched again"
        self.durable = {window_of(audit["url"]) for audit in self.part_audits()}
        self.under_way.append(len(set(asked) - self.durable))
        assert self.under_way[-1] <= (STREAMS if process.returncode else 0)

    def pipeline(self, **environment):
        return self.leg("-m", "data_pipeline", "run", "run_pipeline", "--", "--year", "2024", **environment)

    def driven(self, **options):
        options = {"job": "run_pipeline", "rows_per_window": ROWS_PER_WINDOW, **options}
        return self.leg(killed_run.__file__, json.dumps(options))

    def asked(self, name):
        """The windows that a process asked the source for."""
        return [window_of(one["target"]) for one in self.world.downloads() if one["user_agent"] == name]

    def listed(self):
        if self.bucket is not None:
            return self.bucket.listed()
        return [path.relative_to(self.world.lake).as_posix() for path in self.world.lake.rglob("*") if path.is_file()]

    def part_audits(self):
        if self.bucket is not None:
            keys = [key for key in self.bucket.listed("metadata/audits/") if "/part-" in key]
            return [json.loads(self.bucket.read(key)) for key in keys]
        return [json.loads(path.read_text()) for path in self.world.lake.glob("metadata/audits/**/part-*.json")]

    def must_be_whole(self, slices, windows, *, runs=1):
        """The lake is as if nobody had ever been killed. It is gone afterwards."""
        lake = self.world.lake
        if self.bucket is not None:
            self.bucket.copy_to(lake)
        assert len(self.world.slices()) == slices
        self.world.assert_equals_truth()
        manifests = self.world.manifests()
        assert 1 <= len(manifests) <= runs
        parts = [part for audit in self.world.slices().values() for part in audit["parts"]]
        assert len(parts) == len(self.part_audits()) == windows
        assert {part["key"]: part["sha256"] for part in parts} == hashes_in(lake)
        for manifest in manifests:
            assert (manifest["status"], manifest["files_downloaded"]) == ("completed", slices)
            assert manifest["closure"]["closed"]
            lines = (lake / "metadata" / "runs" / f"run_id={manifest['run_id']}" / "file_audits.jsonl").read_bytes()
            assert hashlib.sha256(lines).hexdigest() == manifest["file_audits_sha256"]
            assert len(lines.splitlines()) == windows
        assert not self.world.attempts(), "a kill is no failed attempt"
        assert not unfinished_in(lake)
        if self.bucket is not None:
            self.bucket.empty()
        shutil.rmtree(lake)
        self.world.source.clear_ledger()
        self.durable = set()


def unfinished_in(folder):
    """What no lake holds: locks, scratch files and folders."""
    return [path for path in folder.rglob("*") if path.name.startswith(".") or path.name == "lock"]


def window_of(url):
    """What a URL asks for: its conditions, whatever else stands in it."""
    return tuple(sorted(pair for pair in parse_qsl(urlsplit(url).query) if pair[0].startswith("conditions")))


def hashes_in(lake):
    """SHA-256 of every file of a dataset below raw/."""
    files = (path for path in lake.glob("raw/dataset=*/**/*") if path.is_file())
    return {path.relative_to(lake).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def life(world, request, server):
    """A lake on the place that the test is about."""
    if request.param == "directory":
        yield Life(world)
        return
    bucket = Bucket(server, f"lake-{random.randrange(10**9)}")
    with Proxy(server) as proxy:  # stores no half of what a killed process was sending
        world = replace(world, environment={**world.environment, **SETTINGS, "AWS_ENDPOINT_URL": proxy.url})
        yield Life(world, bucket)
    bucket.empty()
    bucket.close()


def ended(process, timeout=None):
    """Wait for a process, for so long; its stderr, or None if it is still at work."""
    try:
        _, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return None
    return stderr


def time_of_a_whole_run(life):
    began = time.monotonic()
    with life.pipeline() as process:
        stderr = ended(process)
    assert process.returncode == 0, stderr
    took = time.monotonic() - began
    life.must_be_whole(slices=12, windows=13)
    return took


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("life", "moment", "step"),
    # After one write is nearly before the next: those of every second one together are all. On S3 what is half-way lies
    # on the scratch disk alone, which is thrown away.
    [
        ("directory", "before", 1),
        ("directory", "middle", 2),
        ("directory", "after", 2),
        ("s3", "before", 2),
        ("s3", "after", 2),
    ],
    indirect=["life"],
)
@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["three companies"])
def test_after_a_kill_at_any_write_the_same_command_finishes_the_work(life, moment, step):
    for at in range(1, 100, step):
        with life.driven(at=at, moment=moment) as process:
            stderr = ended(process)
        assert process.returncode in (0, KILLED), stderr
        survived = process.returncode == 0
        if not survived:
            with life.driven() as process:
                stderr = ended(process)
            assert process.returncode == 0, stderr
        life.must_be_whole(slices=3, windows=5)
        if survived:
            break
    assert survived
    assert at > 20, "a run of three companies makes more writes than that"
    print(f"killed at each {step}. of {at - 1} writes; windows under way at a kill: {dict(Counter(life.under_way))}")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("life", PLACES, indirect=True)
@pytest.mark.parametrize("world", [LARGE], indirect=True, ids=["twelve companies"])
def test_after_twenty_kills_at_random_instants_the_same_command_finishes_the_work(life):
    chance, whole = random.Random(20), time_of_a_whole_run(life)
    under_way: list[int] = []
    lives = 0
    while len(under_way) < 20 or life.durable:
        with life.pipeline() as process:
            stderr = ended(process, chance.uniform(0.1, 1.0) * whole if len(under_way) < 20 else None)
        assert process.returncode in (0, KILLED), stderr
        if process.returncode == KILLED:
            under_way.append(life.under_way[-1])
        else:
            lives += 1
            life.must_be_whole(slices=12, windows=13)
    print(f"20 kills over {lives} lakes, {whole:.1f} s each; windows under way at a kill: {dict(Counter(under_way))}")
    assert len([windows for windows in under_way if windows]) > 5, "most kills met nothing under way"


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("life", PLACES, indirect=True)
@pytest.mark.parametrize("world", [LARGE], indirect=True, ids=["twelve companies"])
def test_three_runs_at_once_killed_and_restarted_finish_the_same_work(life):
    chance, whole = random.Random(3), time_of_a_whole_run(life)
    kills = lakes = fetches = 0
    while kills < 12:
        left = 4  # kills of this lake
        with contextlib.ExitStack() as everybody:
            at_work = [started(life, everybody) for _ in range(3)]
            while at_work:
                leg, process = at_work.pop(chance.randrange(len(at_work)))
                stderr = ended(process, chance.uniform(0.2, 1.0) * whole if left else None)
                leg.close()
                assert process.returncode in (0, KILLED), stderr
                if process.returncode == KILLED:
                    kills, left = kills + 1, left - 1
                    at_work.append(started(life, everybody))
        lakes += 1
        fetches += len(life.world.downloads())
        life.must_be_whole(slices=12, windows=13, runs=3)
    print(f"{kills} kills over {lakes} lakes, {fetches} fetches of {13 * lakes} windows")


def started(life, everybody):
    """One more process of the command, and what ends it."""
    leg = everybody.enter_context(contextlib.ExitStack())
    return leg, leg.enter_context(life.pipeline())


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("life", PLACES, indirect=True)
@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["three companies"])
def test_of_two_at_once_one_is_killed_at_any_write_and_what_the_other_commits_verifies(life):
    ends = []
    for at in range(1, 26, 2):
        with life.driven(run_id="one", at=at, moment="after") as killed, life.driven(run_id="one") as other:
            for process in (killed, other):
                stderr = ended(process)
                assert process.returncode in (0, KILLED), stderr
        assert other.returncode == 0
        ends.append(killed.returncode)
        with life.leg("-m", "data_pipeline", "run", "verify", "--", "--run-id", "one") as process:
            stderr = ended(process)
        assert process.returncode == 0, stderr
        life.must_be_whole(slices=3, windows=5)
    assert ends.count(KILLED) > 5, "most of the processes to be killed had nothing to write"


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("life", PLACES, indirect=True)
@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["three companies"])
def test_of_twelve_at_once_six_are_killed_and_every_run_verifies_and_can_be_copied(life):
    with contextlib.ExitStack() as everybody:
        # Of each pair one is killed later: after the plan, the parts, the proofs, the manifest.
        at_work = [
            everybody.enter_context(life.driven(**({"at": 3 * number, "moment": "after"} if number % 2 else {})))
            for number in range(12)
        ]
        for number, process in enumerate(at_work):
            stderr = ended(process)
            assert process.returncode in ((0, KILLED) if number % 2 else (0,)), stderr
    assert KILLED in [process.returncode for process in at_work]
    runs = sorted({key.split("/")[2].partition("=")[2] for key in life.listed() if key.endswith("/manifest.json")})
    for run_id in runs:
        for words in (("verify",), ("upload_raw", "--to", f"../copy-{run_id}")):
            job, *more = words
            with life.leg("-m", "data_pipeline", "run", job, "--", "--run-id", run_id, *more) as process:
                stderr = ended(process)
            assert process.returncode == 0, stderr
    life.must_be_whole(slices=3, windows=5, runs=len(runs))


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("life", "times"), [("directory", 6), ("s3", 4)], indirect=["life"])
@pytest.mark.parametrize("world", [LARGE], indirect=True, ids=["twelve companies"])
def test_sigterm_at_random_instants_ends_cleanly_and_the_same_command_finishes_the_work(life, times):
    chance, whole, grace = random.Random(10), time_of_a_whole_run(life), 10.0
    statuses: list[int] = []
    longest = 0.0
    while len(statuses) < times:
        with life.pipeline(GRACE_SECONDS=str(grace)) as process:
            stderr = ended(process, chance.uniform(0.1, 1.0) * whole)
            if stderr is None:
                asked, began = life.asked(f"leg-{life.legs}"), time.monotonic()
                process.terminate()
                stderr = ended(process, grace)
                assert stderr is not None, "it was still there when the grace period was over"
                longest = max(longest, time.monotonic() - began)
                statuses.append(process.returncode)
        # The interpreter has no handlers of ours before it has read the program and after it is done with it.
        outside = process.returncode == -signal.SIGTERM and (not asked or "  completed\n" in stderr)
        assert process.returncode in (0, TERMINATED) or outside, stderr
        assert "Traceback" not in stderr
        if process.returncode == TERMINATED:
            assert "stopped by SIGTERM; completed work is kept" in stderr.splitlines()[-1]
            assert not unfinished_in(life.world.lake)
        with life.pipeline() as process:
            stderr = ended(process)
        assert process.returncode == 0, stderr
        life.must_be_whole(slices=12, windows=13)
    print(f"statuses {dict(Counter(statuses))}, {longest:.2f} s at most")
    assert statuses.count(TERMINATED) >= times // 2


@pytest.mark.parametrize("life", ["directory"], indirect=True)
@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["three companies"])
def test_a_read_that_hangs_does_not_outlast_the_grace_period(life):
    life.orderly = (0,)
    life.world.source.fault("slow_start", match="/download", params={"seconds": 60})
    with life.pipeline(GRACE_SECONDS="1") as process:
        while not life.asked("leg-1") and process.poll() is None:
            life.world.source.truth(2024)  # takes its time
        began = time.monotonic()
        process.terminate()
        stderr = ended(process, 30)
        took = time.monotonic() - began
    assert process.returncode == TERMINATED, stderr
    assert 0.5 < took < 10
    assert "not all of it ended within 1 s" in stderr
    life.world.source.clear_faults()
    with life.pipeline() as process:
        stderr = ended(process)
    assert process.returncode == 0, stderr
    life.must_be_whole(slices=3, windows=3)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("life", PLACES, indirect=True)
@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["three companies"])
def test_an_upload_killed_at_any_write_is_finished_by_the_same_command(life):
    """``life`` is the lake that the run is uploaded to; ``home`` is where it comes from."""
    chance, home = random.Random(7), Life(replace(life.world, lake=life.world.lake.parent / "home"))
    with home.driven(run_id="one") as process:
        stderr = ended(process)
    assert process.returncode == 0, stderr
    wanted = {key: body for key, body in objects_of(home).items() if not key.startswith(NOT_OF_A_RUN)}
    upload = {"job": "upload_raw", "run_id": "one", "to": life.url}
    for at in range(1, 100):
        with home.driven(**upload, at=at, moment=chance.choice(["before", "middle", "after"])) as process:
            stderr = ended(process)
        assert process.returncode in (0, KILLED), stderr
        survived = process.returncode == 0
        there = objects_of(life)
        assert wanted.items() >= there.items()
        named = {json.loads(body)["key"] for key, body in there.items() if "/audits/" in key and "/part-" in key}
        assert named <= there.keys(), "an audit lay there without its part"
        assert "metadata/runs/run_id=one/manifest.json" not in there or there == wanted
        words = ["upload_raw", "--", "--run-id", "one", "--to", life.url]
        with home.leg("-m", "data_pipeline", "run", *words) as process:
            stderr = ended(process)
        assert process.returncode == 0, stderr
        assert objects_of(life) == wanted
        if life.bucket is None:
            assert not unfinished_in(life.world.lake)
            shutil.rmtree(life.world.lake)
        else:
            life.bucket.empty()
        if survived:
            break
    assert survived
    assert at == len(wanted) + 1
    print(f"killed at each of {at - 1} writes")


def objects_of(life):
    """Every object of the lake, scratch files left out."""
    if life.bucket is not None:
        return {key: life.bucket.read(key) for key in life.bucket.listed()}
    found = {path.relative_to(life.world.lake): path for path in life.world.lake.rglob("*") if path.is_file()}
    return {key.as_posix(): path.read_bytes() for key, path in found.items() if not key.parts[0].startswith(".")}
