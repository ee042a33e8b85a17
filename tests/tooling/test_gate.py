"""tools/gate.py: runs everything, counts failures, and no check disappears."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools import gate

ROOT = Path(__file__).resolve().parents[2]


def python(name, code, **options):
    return gate.Part(name, ("python", "-c", code), **options)


def run(part, root):
    with contextlib.closing(gate.Running(part, root)) as running:
        return running.wait()


def test_a_failed_part_does_not_stop_the_others(tmp_path, capfd):
    parts = [
        python("bad", "raise SystemExit(3)"),
        python("good", "print('the second ran')"),
        gate.Part("gone", ("no-such-program",)),
    ]

    assert gate.run_all(parts, tmp_path) == 2

    out = capfd.readouterr().out
    assert "the second ran" in out
    assert "FAILED (status 3)" in out
    assert out.splitlines()[-1] == "1 passed, 2 failed"


def test_a_part_beside_the_others_is_shown_after_them_and_counts(tmp_path, capfd):
    waits = (
        "import os, pathlib, time\nwhile not pathlib.Path('now').exists(): time.sleep(0.01)\nprint('waited'); exit(3)"
    )
    parts = [python("waiting", waits, beside=True), python("first", "open('now', 'w'); print('went')")]

    assert gate.run_all(parts, tmp_path) == 1

    out = capfd.readouterr().out
    assert out.index("went") < out.index("waited") < out.index("FAILED (status 3)")


def test_a_part_whose_pattern_matches_no_file_fails(tmp_path):
    part = gate.Part("unit", ("python", "packages/*/tests/unit"))

    assert run(part, tmp_path) == "nothing matches packages/*/tests/unit"


def test_a_part_that_hangs_is_stopped_with_every_process_it_started(tmp_path):
    # The grandchild, not the part itself, holds the lock.
    hang = "import fcntl, time; file = open('lock', 'w'); fcntl.flock(file, fcntl.LOCK_EX); time.sleep(600)"
    part = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hang!r}])"

    assert run(python("hung", part, limit_seconds=2), tmp_path) == "stopped after 2 s"

    with (tmp_path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # waits for the test's timeout if the grandchild lives


def test_a_part_has_its_temporary_files_in_memory_and_they_are_gone_after_it(tmp_path):
    part = python("p", "import tempfile, pathlib; pathlib.Path('where').write_text(tempfile.mkdtemp())")

    assert run(part, tmp_path) is None

    where = Path((tmp_path / "where").read_text())
    if shutil.disk_usage(gate.MEMORY).free > gate.LEAST_MEMORY_BYTES:
        assert where.is_relative_to(gate.MEMORY)
        assert not where.parent.exists()


def test_temporary_files_stay_on_the_disk_where_there_is_too_little_memory(tmp_path):
    with gate.scratch(tmp_path / "missing") as settings:
        assert settings == {}


def test_an_interrupted_gate_stops_its_running_part():
    part = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    code = (
        "import sys; from tools import gate\n"
        f"gate.GATES['check'] = (gate.Part('p', ('python', '-c', {part!r})),)\n"
        "sys.argv = ['gate.py', 'check']; sys.exit(gate.main())"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = next(int(line) for line in process.stdout if line.strip().isdigit())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_checks_do_not_see_the_caller_s_accounts():
    outside = {"AWS_PROFILE": "mine", "LAKE_URL": "s3://mine/", "PATH": "/bin", "HOME": "/home/me"}

    inside = gate.environment(outside)

    assert {"AWS_PROFILE", "LAKE_URL"}.isdisjoint(inside)
    assert (inside["PATH"], inside["HOME"]) == ("/bin", "/home/me")


def test_every_test_file_belongs_to_a_gate():
    covered: set[Path] = set()
    for part in gate.TEST:
        for word in part.command:
            if "*" in word:
                covered.update(ROOT.glob(word))
    files = [*ROOT.glob("packages/*/tests/**/test_*.py"), *ROOT.glob("tests/**/test_*.py")]

    assert [str(file) for file in files if not covered.intersection([file, *file.parents])] == []


def test_an_unknown_part_is_a_usage_error_that_lists_the_known_ones():
    answer = subprocess.run(
        [sys.executable, "tools/gate.py", "no-such-part"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 2
    assert "contracts" in answer.stderr
