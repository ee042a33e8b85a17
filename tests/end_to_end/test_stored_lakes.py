"""Every version reads, continues, copies, compares and cleans the lakes that version 1 wrote.

From the first release on these lakes are never written again (``stored_lakes.py``): a change that fails here
would fail in the lakes of users.
"""

import hashlib
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import YEAR, World
from tests.end_to_end.stored_lakes import CHANGES, FOLDER, ROWS, world_of

RUNS = ("first", "second")


def content(lake: Path) -> dict[str, str]:
    """Every file but logs, by its digest."""
    files = (path for path in lake.rglob("*") if path.is_file() and "logs" not in path.parts)
    return {path.relative_to(lake).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def copied(tmp_path):
    """A copy of a stored lake, by its name."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(FOLDER / name, tmp_path / name))

    return copy


def runs_something(world: World, *words: str) -> dict[str, object]:
    ended = world.run(*words)
    assert ended.status == 0, ended.stderr
    return ended.fact


def test_closed_runs_are_verified_to_the_last_byte(copied):
    lake = copied("closed")
    with world_of(lake, release=2) as world:
        for run_id in RUNS:
            fact = runs_something(world, "verify", "--", "--run-id", run_id)
            assert (fact["status"], fact["findings"], fact["slices"]) == ("verified", [], len(ROWS))
        assert runs_something(world, "verify", "--", "--run-id", "second", "--against-source")["findings"] == []
    assert content(lake) == content(FOLDER / "closed")


def test_a_closed_run_is_found_again_and_nothing_is_fetched(copied):
    with world_of(copied("closed"), release=2) as world:
        ended = world.pipeline()
        assert (ended.status, ended.fact["status"], ended.fact["run_id"]) == (0, "already done", "second")
        assert not world.downloads()
        assert runs_something(world, "status", "--", "--run-id", "first")["status"] == "completed"


def test_an_unfinished_run_is_continued_where_it_stopped(copied):
    lake = copied("unfinished")
    before = content(lake)
    with world_of(lake) as world:
        ended = world.pipeline()
        assert (ended.status, ended.fact["run_id"], ended.fact["closed"]) == (0, "open", True), ended.stderr
        assert len(world.downloads()) == 1
        world.assert_equals_truth()
        assert runs_something(world, "verify", "--", "--run-id", "open")["findings"] == []
    assert before.items() <= content(lake).items(), "what was there is changed or gone"


def test_closed_runs_are_copied_byte_for_byte_and_found_in_the_other_lake(copied, tmp_path):
    lake, other = copied("closed"), tmp_path / "other"
    with world_of(lake, release=2) as world:
        for run_id in RUNS:
            runs_something(world, "upload_raw", "--", "--run-id", run_id, "--to", str(other))
    there, here = content(other), content(lake)
    assert there.items() <= here.items()
    caches = ("metadata/dataset_ids_cache.json", "metadata/totals/")
    assert {key for key in here.keys() - there.keys() if not key.startswith(caches)} == set()
    with world_of(other, release=2) as world:
        assert world.pipeline().fact["status"] == "already done"


def test_two_releases_are_compared(copied):
    with world_of(copied("closed"), release=2) as world:
        fact = runs_something(world, "diff_releases", "--", "--year", str(YEAR))
    assert {name: fact[name] for name in CHANGES} == CHANGES
    assert (fact["companies"], fact["in_one_only"]) == (len(ROWS), 0)


def test_nothing_of_a_closed_lake_is_an_orphan_and_an_open_run_keeps_its_parts(copied):
    for name in ("closed", "unfinished"):
        lake = copied(name)
        with world_of(lake) as world:
            fact = runs_something(world, "gc", "--", "--older-than-hours", "0", "--delete")
        assert fact["objects"] == 0, name
        assert content(lake) == content(FOLDER / name)
