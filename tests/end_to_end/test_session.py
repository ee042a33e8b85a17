"""The README's first screen is a real session: the commands are run again, and say the same."""

from pathlib import Path

import pytest

from tools import session

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def test_the_session_on_the_first_screen_is_what_the_commands_say(tmp_path):
    made = session.run(tmp_path)

    assert session.masked(session.written()[1]) == session.masked(made.text), "run tools/session.py"
    assert made.page.stat().st_size < 300_000


def test_the_picture_on_the_first_screen_is_there_and_small():
    assert session.PICTURE.stat().st_size < 150_000
    assert str(session.PICTURE.relative_to(ROOT)) in session.README.read_text(encoding="utf-8")
