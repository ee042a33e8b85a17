"""tools/gate.py: runs everything, says how many failed, lets nothing vanish."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import gate

ROOT = Path(__file__).resolve().parents[2]


def python(name, code, **options):
    return gate.Part(name, ("python", "-c", code), **options)


def test_a_failing_part_does_not_stop_the_rest(tmp_path, capfd):
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


def test_a_part_whose_files_are_gone_fails(tmp_path):
    part = gate.Part("unit", ("python", "packages/*/tests/unit"))

    assert gate.run(part, tmp_path) == "nothing matches packages/*/tests/unit"


def test_a_hung_part_is_stopped_with_all_it_started(tmp_path):
    # The grandchild, not the part itself, goes on writing.
    beat = "import time\nwhile True: open('beat', 'a').write('.'); time.sleep(0.05)"
    hung = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {beat!r}])"

    assert gate.run(python("hung", hung, limit_seconds=2), tmp_path) == "stopped after 2 s"

    written = (tmp_path / "beat").stat().st_size
    assert written > 0
    time.sleep(0.5)
    assert (tmp_path / "beat").stat().st_size == written


def test_an_interrupted_gate_takes_its_part_with_it(tmp_path):
    pid_file = tmp_path / "pid"
    part = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = (
        "import sys; from tools import gate\n"
        f"gate.GATES['check'] = (gate.Part('p', ('python', '-c', {part!r})),)\n"
        "sys.argv = ['gate.py', 'check']; sys.exit(gate.main())"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not (pid_file.exists() and pid_file.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_no_check_hears_of_the_caller_s_accounts():
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


def test_the_status_says_whether_anything_failed():
    answer = subprocess.run(
        [sys.executable, "tools/gate.py", "no-such-part"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 2
    assert "contracts" in answer.stderr
