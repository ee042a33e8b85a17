"""The README's first screen is a real session, and its page looks as it should: in Chromium, as people see it."""

import shutil
from pathlib import Path

import pytest

from tools import isolated, session

ROOT = Path(__file__).resolve().parents[2]
# Kept for whoever wants to look at them after a run of CI.
PICTURES = ROOT / ".cache" / "pictures"
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return session.run(tmp_path_factory.mktemp("session"))


def test_the_session_on_the_first_screen_is_what_the_commands_say(made):
    assert session.masked(session.written()) == session.masked(made.text), "run tools/session.py"


def test_the_page_is_small(made):
    assert made.page.stat().st_size < 300_000


def test_the_page_is_good_on_a_phone_and_a_desk_by_day_and_night_and_in_print(made):
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium")
    try:
        found = session.picture(made.page, PICTURES)
    except isolated.UnavailableError as reason:
        pytest.skip(str(reason))

    assert found == {name: [] for name in ("phone", "phone-dark", "desktop", "desktop-dark", "print")}
    assert {path.stem for path in PICTURES.glob("*.png")} >= set(found)


def test_the_picture_in_the_readme_is_there_and_small():
    assert session.PICTURE.stat().st_size < 150_000
    assert str(session.PICTURE.relative_to(ROOT)) in session.README.read_text(encoding="utf-8")
