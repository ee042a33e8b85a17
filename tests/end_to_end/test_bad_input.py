"""Bad input gets a clear sentence and the right status, and loses nothing."""

import json
import os
import shutil
import stat
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["run_pipeline", "--", "--year", "1999"], 2, "no program year 1999 of general-payments; it has 2024"),
        (["run_pipeline", "--", "--year", "abc"], 2, "'abc' is not a valid integer"),
        (["run_pipeline"], 2, "Missing option '--year'"),
        (["run_pipeline", "--", "--year", "2024", "--slice", "5/4"], 2, "K/N"),
        (["run_pipeline", "--", "--year", "2024", "--max-files", "0"], 2, "--max-files"),
        (["run_pipeline", "--", "--year", "2024", "--run-id", "../x"], 2, "no run id"),
        (["download_company", "--", "--year", "2024", "--company-id", "../../etc"], 3, "no company '../../etc'"),
        (["run_pipeline", "--", "--year", "2024", "--lake", "ftp://x/y"], 3, "unknown scheme"),
        (["run_pipeline", "--", "--year", "2024", "--lake", "s3://"], 3, "names no bucket"),
        (["write_manifest", "--", "--run-id", "never"], 3, "no run never"),
        (["upload_raw", "--", "--run-id", "never", "--to", "elsewhere"], 3, "no run never"),
    ],
)
def test_a_wrong_command_line_gets_an_error_with_what_was_found_and_what_to_try(world, words, status, said):
    ended = world.run(*words)
    assert (ended.status, said in ended.stderr) == (status, True), ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(world.lake.glob("raw/dataset=*/**/*.csv"))


def test_a_listed_year_that_is_not_published_fails_loudly(world):
    world.source.fault("http_500", match="metastore")  # the script lists 2025, the catalogue does not
    ended = world.run("run_pipeline", "--", "--year", "2025", SOURCE_ATTEMPTS="2")
    assert (ended.status, "not published" in ended.stderr) == (3, True), ended.stderr


def test_an_unreachable_host_is_temporary_and_named(world):
    ended = world.pipeline(OPEN_PAYMENTS_URL="http://127.0.0.1:9", SOURCE_ATTEMPTS="2")
    assert ended.status == 4
    assert "127.0.0.1:9" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("gone", ["stdout", "stderr"])
def test_a_closed_pipe_or_terminal_does_not_stop_a_run(world, gone):
    process = world.start("run_pipeline", "--", "--year", "2024")
    getattr(process, gone).close()
    stdout, stderr = process.communicate(timeout=250)
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    assert not stdout or json.loads(stdout)["status"] == "completed"
    assert len(world.slices()) == 12


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_run_without_open_standard_streams_completes(world, closed):
    streams = {"stdout": ">&-", "stderr": "2>&-"}
    command = [sys.executable, "-m", "data_pipeline", "run", "run_pipeline", "--", "--year", "2024"]
    ended = subprocess.run(
        ["sh", "-c", f'"$@" {streams[closed]}', "sh", *command],
        env=dict(world.environment), cwd=world.lake.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert len(world.slices()) == 12


@pytest.mark.parametrize("url", ["openpayments", "file:///etc/passwd"])
def test_an_invalid_address_is_a_configuration_error(world, url):
    ended = world.pipeline(OPEN_PAYMENTS_URL=url)
    assert (ended.status, "OPEN_PAYMENTS_URL" in ended.stderr) == (3, True), ended.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("LAKE_URL=./data\nthis is no assignment\n", "line 2"),
        ("SOURCE_MAX_STREAMS=many\n", "SOURCE_MAX_STREAMS='many' (from .env)"),
        ("SOURCE_MAX_STREAMS=0\n", "greater than or equal to 1"),
        ("LOG_FORMAT=xml\n", "'auto', 'console' or 'json'"),
    ],
)
def test_a_broken_env_file_names_its_line(world, text, said):
    (world.lake.parent / ".env").write_text(text)
    environment = {name: value for name, value in world.environment.items() if name != "LOG_FORMAT"}
    done = subprocess.run(
        [sys.executable, "-m", "data_pipeline", "run", "run_pipeline", "--", "--year", "2024"],
        cwd=world.lake.parent, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, said in done.stderr) == (3, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_read_only_lake_is_permanent_and_named(world):
    if os.geteuid() == 0:
        words = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro tmpfs "$1" && shift && exec "$@"', "sh"]
        ended = _in_namespace(world, words)
    else:
        world.lake.mkdir()
        world.lake.chmod(stat.S_IRUSR | stat.S_IXUSR)
        ended = world.pipeline()
    assert ended.status == 3, ended.stderr
    assert str(world.lake) in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("world", [{"scale": 0.1}], indirect=True)
def test_a_full_disk_is_permanent_and_the_same_command_finishes_once_there_is_space(world):
    words = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=4m tmpfs "$1" && shift && exec "$@"', "sh"]
    ended = _in_namespace(world, words)
    assert ended.status == 3, ended.stderr
    assert "No space left" in ended.stderr
    assert "Free some space" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert world.pipeline().status == 0
    world.assert_equals_truth()


def _in_namespace(world, words):
    """Run the pipeline with a file system of its own mounted over the lake."""
    world.lake.mkdir()
    if shutil.which("unshare") is None or subprocess.run([*words[:2], "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    command = [sys.executable, "-m", "data_pipeline", "run", "run_pipeline", "--", "--year", "2024"]
    done = subprocess.run(
        [*words, str(world.lake), *command], env=world.environment, capture_output=True, text=True, check=False
    )
    return type("Ended", (), {"status": done.returncode, "stderr": done.stderr})


def test_a_company_that_does_not_exist_is_an_error_that_offers_similar_ones(world):
    for job in ("download_company", "run_pipeline"):
        ended = world.run(job, "--", "--year", "2024", "--company-id", "999")
        assert (ended.status, ended.fact["error"]) == (3, "NotFoundError"), ended.stderr
        assert "there is no company 999: it has no rows, and CMS does not list it." in ended.stderr
        assert ended.stderr.count("(") >= 5, "each id with its name"
    assert not list(world.lake.glob("raw/dataset=*/**/*.csv"))
    assert not list(world.lake.glob("metadata/runs/*/plan.json"))
