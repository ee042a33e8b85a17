"""The README's first screen is a real session: the commands are run again, and say the same."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import isolated, session

ROOT = Path(__file__).resolve().parents[2]
# Kept, so that they can be looked at after a run of CI.
PICTURES = ROOT / ".cache" / "pictures" / "session"
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def test_the_session_on_the_first_screen_is_what_the_commands_say_and_its_page_looks_good(tmp_path):
    made = session.run(tmp_path)

    assert session.masked(session.written()[1]) == session.masked(made.text), "run tools/session.py"
    assert made.page.stat().st_size < 300_000
    try:
        found = session.picture(made.page, PICTURES)
    except isolated.UnavailableError as reason:
        pytest.skip(f"the page was not looked at: {reason}")
    assert [one for wrong in found.values() for one in wrong] == []


def test_the_picture_on_the_first_screen_is_there_and_small():
    assert session.PICTURE.stat().st_size < 150_000
    assert str(session.PICTURE.relative_to(ROOT)) in session.README.read_text(encoding="utf-8")


def test_the_demo_ends_with_the_largest_companies_and_the_page(tmp_path):
    words = [sys.executable, str(ROOT / "tools/demo.py"), "--scale", "0.02", "--lake", str(tmp_path / "lake")]

    ended = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert "20 of 20 slices have exactly the records of the sandbox" in ended.stderr
    last = ended.stderr.rpartition("The same command again finds everything done:")[2]
    assert "  marts" in last
    assert last.count("already") == 5
    assert [line.split()[0] for line in last.splitlines()[-14:] if line] == [
        *map(str, range(1, 11)),
        "page",
        "marts",
        "ask",
    ]
