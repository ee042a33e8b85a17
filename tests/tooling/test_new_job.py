"""`make job NAME=…`."""

import os
import subprocess
import sys

import pytest

from data_pipeline.registry import Registry
from tools import new_job

PAGE = (new_job.ROOT / new_job.PAGE).read_text(encoding="utf-8")


def test_a_job_of_another_name_has_nothing_of_the_template_in_it():
    made = new_job.files("sum_sizes", PAGE)

    assert list(made) == [f"{new_job.JOBS}/sum_sizes.py", f"{new_job.TESTS}/test_sum_sizes.py"]
    for text in made.values():
        assert new_job.TEMPLATE not in text
        assert "CountObjects" not in text
    job, test = made.values()
    assert 'entrypoint_of(command, "sum_sizes")' in job
    assert "class SumSizes(CommandCase)" in test


@pytest.mark.parametrize("name", ["my_job", "a", "load2", "x_1_y"])
def test_a_name_of_words_is_taken(name):
    assert new_job.checked(name) == name


@pytest.mark.parametrize(
    "name", ["", "My_job", "my-job", "_job", "job_", "a__b", "1st", "registry", "import", "../x", "a b", "é", "a\nb"]
)
def test_any_other_name_is_refused_and_nothing_is_written(name, tmp_path):
    with pytest.raises(ValueError, match=r"make job NAME=my_job|cannot be a job's name"):
        new_job.write(tmp_path, new_job.files(new_job.checked(name), PAGE))
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_is_there_is_not_overwritten(tmp_path):
    made = {"a.py": "new", "b.py": "new"}
    (tmp_path / "b.py").write_text("old")
    with pytest.raises(ValueError, match=r"b\.py is there already"):
        new_job.write(tmp_path, made)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"b.py": "old"}


def test_the_command_refuses_a_registered_job():
    command = [sys.executable, str(new_job.ROOT / "tools" / "new_job.py")]
    done = subprocess.run(
        command, env={**os.environ, "NAME": Registry().names()[0]}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "is there already: choose another name." in done.stderr
