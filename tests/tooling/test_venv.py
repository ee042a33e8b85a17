"""tools/venv.py: which .venv is kept, and the message where none can be created."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tools import venv

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("found", "wanted", "in_place", "fault"),
    [
        ((3, 11), None, True, None),
        ((3, 13), None, True, None),
        ((3, 12), (3, 12), True, None),
        (None, None, True, "does not start"),
        ((3, 9), None, True, "has Python 3.9"),
        ((3, 11), (3, 13), True, "not 3.13"),
        ((3, 11), None, False, "another folder"),
    ],
)
def test_a_working_environment_is_kept(found, wanted, in_place, fault):
    answer = venv.fault(found, wanted, in_place)

    assert (answer is None) == (fault is None)
    assert (fault or "") in (answer or "")


def test_an_old_python_is_refused_with_one_sentence():
    sentence = venv.refusal((3, 9, 18), True, "/usr/bin/python3")

    assert sentence is not None
    assert "3.11" in sentence
    assert "/usr/bin/python3 is 3.9.18" in sentence
    assert "\n" not in sentence


def test_a_python_without_venv_is_refused_with_the_package_to_install():
    sentence = venv.refusal((3, 11, 2), False, "/usr/bin/python3")

    assert sentence is not None
    assert "python3-venv" in sentence
    assert venv.refusal((3, 11, 2), True, "/usr/bin/python3") is None


def test_the_environment_check_starts_on_an_old_python():
    ast.parse((ROOT / "tools" / "venv.py").read_text(), feature_version=(3, 6))


def test_a_moved_environment_is_noticed(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "one")], check=True)
    assert venv.is_in_place(tmp_path / "one")

    (tmp_path / "one").rename(tmp_path / "two")

    assert not venv.is_in_place(tmp_path / "two")


def test_an_environment_without_a_python_is_noticed(tmp_path):
    assert venv.version_in(tmp_path) is None
