"""A machine that lacks something is named as the cause, and the same command finishes where it is not."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("files", [10, 24])
def test_too_few_descriptors_are_named_and_no_bug_of_ours(world, files):
    words = [sys.executable, "-m", "data_pipeline", "run", "run_pipeline", "--", "--year", "2024"]
    limited = ["sh", "-c", 'ulimit -n "$0"; exec "$@"', str(files), *words]

    ended = subprocess.run(
        limited, env=dict(world.environment), cwd=world.lake.parent, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 3, ended.stderr
    assert '"error": "AccessError"' in ended.stdout
    assert "Too many open files. Raise the limit of open files, as in `ulimit -n 1024`" in ended.stdout
    assert "a bug" not in ended.stderr
    assert world.pipeline().status == 0
    world.assert_equals_truth()
