"""Tables of a lake where writes are cut off, refused, lost or made twice: nothing is lost, readers see whole builds."""

import json
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pytest

from tests.end_to_end import killed_run
from tests.end_to_end.programs import Program
from tests.end_to_end.s3 import SETTINGS, Bucket, Proxy, s3_server

ROWS = {"100000000053": 900, "100000000054": 120, "100000000062": 20}
WORLD = {"company_rows": ROWS, "first_companies": None}
JOBS = ("stage", "build_curated")
# What the jobs write: contract, staged parts and their documents, files of builds and their manifests.
MADE = ("metadata/contracts/", "staging/", "metadata/staging/", "curated/", "metadata/curated/")
pytestmark = [pytest.mark.timeout(300), pytest.mark.parametrize("world", [WORLD], indirect=True, ids=[""])]


@dataclass
class Place:
    """A lake with a committed run, in a folder or behind a proxy in S3."""

    world: Any
    run_id: str
    bucket: Bucket | None = None
    proxy: Proxy | None = None

    def job(self, name, **environment):
        return self.world.run(name, "--", "--run-id", self.run_id, **environment)

    def objects(self):
        """What the jobs made; documents without the time at which they were written."""
        if self.bucket is not None:
            found = {key: self.bucket.read(key) for key in self.bucket.listed() if key.startswith(MADE)}
        else:
            lake = self.world.lake
            paths = {path.relative_to(lake).as_posix(): path for path in lake.rglob("*") if path.is_file()}
            found = {key: path.read_bytes() for key, path in paths.items() if key.startswith(MADE)}
        return {key: _without_times(key, body) for key, body in found.items()}

    def forget(self, prefixes):
        if self.bucket is not None:
            for key in self.bucket.listed():
                if key.startswith(tuple(prefixes)):
                    self.bucket.client.delete_object(Bucket=self.bucket.name, Key=key)
            return
        for prefix in prefixes:
            shutil.rmtree(self.world.lake / prefix, ignore_errors=True)


def _without_times(key, body):
    if not key.endswith(".json"):
        return body
    return {name: value for name, value in json.loads(body).items() if name not in ("staged_at", "created_at")}


@pytest.fixture
def place(world, request):
    """Where the test is about; one field of a small part is bad, so that something is quarantined."""
    if getattr(request, "param", "directory") == "directory":
        yield Place(world, _fetched(world))
        return
    with s3_server() as url, Proxy(url) as proxy:
        bucket = Bucket(url, "lake")
        there = {**SETTINGS, "LAKE_URL": "s3://lake", "AWS_ENDPOINT_URL": proxy.url, "SOURCE_TIMEOUT_SECONDS": "60"}
        world = replace(world, environment={**world.environment, **there})
        yield Place(world, _fetched(world), bucket, proxy)
        bucket.close()


def _fetched(world):
    ended = world.pipeline()
    assert ended.status == 0, ended.stderr
    return ended.fact["run_id"]


def done(place, *jobs):
    for job in jobs:
        ended = place.job(job)
        assert ended.status == 0, ended.stderr


def killed(place, options):
    options = json.dumps({"run_id": place.run_id, **options})
    program = Program(killed_run.__file__, options, env=place.world.environment, cwd=place.world.lake.parent)
    _, said = program.communicate()
    assert program.returncode in (0, -signal.SIGKILL), said
    return program.returncode != 0


@pytest.mark.long
@pytest.mark.parametrize("place", ["directory", "s3"], indirect=True)
def test_a_build_killed_at_any_write_is_made_by_the_same_command(place):
    chance = random.Random(5)
    done(place, *JOBS)
    whole = place.objects()
    at = 1
    while True:
        place.forget(("curated/", "metadata/curated/"))
        moment = chance.choice(["before", "after"] if place.bucket else ["before", "middle", "after"])
        if not killed(place, {"job": "build_curated", "at": at, "moment": moment}):
            break
        half = place.objects()
        assert half.items() <= whole.items()
        manifests = [key for key in half if key.startswith("metadata/curated/")]
        assert not manifests or half == whole, "a manifest lay there without its files"
        done(place, "build_curated")
        assert place.objects() == whole
        at += 1
    assert at == 1 + len([key for key in whole if "curated/" in key])


@pytest.mark.long
@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_stage_killed_at_any_write_in_s3_is_finished_by_the_same_command(place):
    done(place, "stage")
    whole = place.objects()
    at = 1
    while True:
        place.forget(MADE)
        if not killed(place, {"job": "stage", "at": at, "moment": "after"}):
            break
        assert place.objects().items() <= whole.items()
        done(place, "stage")
        assert place.objects() == whole
        at += 1
    assert at == 1 + len(whole)


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_responses_lost_after_a_write_cause_neither_conflict_nor_a_second_build(place):
    done(place, *JOBS)
    whole = place.objects()
    place.forget(MADE)
    lost: Counter[str] = Counter()

    def first_of_each_key(asked):
        if asked.method != "PUT" or not asked.key.startswith(MADE):
            return False
        lost[asked.key] += 1
        return lost[asked.key] == 1

    place.proxy.loses = first_of_each_key
    done(place, *JOBS)

    assert place.objects() == whole
    assert lost.keys() == whole.keys()


def test_builders_at_the_same_time_make_one_build_and_readers_see_all_of_it_or_none(place):
    done(place, "stage")
    words = ("build_curated", "--", "--run-id", place.run_id)
    builders = [place.world.start(*words) for _ in range(3)]
    seen = set()
    while any(one.poll() is None for one in builders):
        manifests = sorted(place.world.lake.glob("metadata/curated/**/*.json"))
        for path in manifests:
            manifest = json.loads(path.read_text())
            files = [
                str(place.world.lake / one["key"]) for one in manifest["files"] if one["table"] == manifest["table"]
            ]
            (rows,) = duckdb.execute("SELECT count(*) FROM read_parquet($1)", [files]).fetchall()[0]
            seen.add((path.name, rows))
    facts = []
    for one in builders:
        stdout, stderr = one.communicate()
        assert one.returncode == 0, stderr
        facts.append(json.loads(stdout))

    assert {(fact["build"], fact["manifest"]) for fact in facts} == {(facts[0]["build"], facts[0]["manifest"])}
    assert len(list(place.world.lake.glob("metadata/curated/**/*.json"))) == 1
    assert seen <= {("00000001.json", sum(ROWS.values()))}
    assert not list(place.world.lake.rglob(".scratch"))


@pytest.mark.parametrize("job", JOBS)
def test_tables_on_a_full_disk_name_it_and_the_same_command_finishes_once_there_is_space(place, job):
    done(place, *JOBS)
    whole = place.objects()
    place.forget(("curated/", "metadata/curated/") if job == "build_curated" else MADE)
    lake, small = place.world.lake, place.world.lake.parent / "small"
    # In pages of 4 KB, as such a file system keeps them.
    size = sum(-(-path.stat().st_size // 4096) * 4 for path in lake.rglob("*") if path.is_file())
    for more in (20, 100):
        shutil.rmtree(small, ignore_errors=True)
        small.mkdir()
        # A file system of its own over the lake, with so many KB to spare; what is in it then is copied out.
        script = (
            f'mount -t tmpfs -o size={size + more}k tmpfs "$2" && cp -a "$1/." "$2" && shift 2 && "$@"; '
            f'status=$?; umount -l "{small}" 2>/dev/null; exit $status'
        )
        command = [sys.executable, "-m", "data_pipeline", "run", job, "--", "--run-id", place.run_id]
        words = ["unshare", "-rm", "sh", "-c", script, "sh", str(lake), str(small), *command]
        environment = {**place.world.environment, "LAKE_URL": str(small)}
        ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 3, ended.stderr
        assert "No space left" in ended.stderr
        assert "Free some space" in ended.stderr
        assert "Traceback" not in ended.stderr
    done(place, *JOBS)
    assert place.objects() == whole
