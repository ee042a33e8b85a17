"""The README's session is real and the tutorial works: their commands are run, and the session says the same."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools import demo, isolated, session

ROOT = Path(__file__).resolve().parents[2]
# Kept, so that they can be looked at after a run of CI.
PICTURES = ROOT / ".cache" / "pictures" / "session"
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_the_session_is_what_its_commands_say_its_page_looks_good_and_the_tutorial_works_after_it(tmp_path):
    page = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    made = session.run(tmp_path, "\n".join(re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)))

    assert made.afterwards.count("already") >= 5  # the build of the tutorial finds everything done
    assert re.search(r"proof +the source counted [\d,]+ records before it", made.afterwards)
    assert '"status": "verified"' in made.afterwards
    assert list(tmp_path.glob("out/*.csv"))

    assert session.masked(session.written()[1]) == session.masked(made.text), "run tools/session.py"
    assert made.page.stat().st_size < 300_000
    try:
        found = session.picture(made.page, PICTURES)
    except isolated.UnavailableError as reason:
        pytest.skip(f"the page was not looked at: {reason}")
    assert [one for wrong in found.values() for one in wrong] == []


def test_the_failure_to_try_ends_with_status_4_and_the_same_command_repairs_it(tmp_path):
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    with socket.create_server(("127.0.0.1", 0)) as free:
        script = script.replace("8001", str(free.getsockname()[1])) + "kill $!\n"
    environment = os.environ | {"PATH": f"{demo.BIN}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path / "cache")}

    ended = subprocess.run(["bash", "-ec", script], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, check=True)

    said = ended.stdout.decode()
    assert "status 4\n" in said
    assert "100000000053,failed,unavailable,2166" in said
    facts = [json.loads(line) for line in said.splitlines() if line.startswith("{") and '"status"' in line]
    assert [one["status"] for one in (facts[0], facts[-1])] == ["partial", "completed"]


def test_the_demo_ends_with_the_largest_companies_and_the_page(tmp_path):
    words = [sys.executable, str(ROOT / "tools/demo.py"), "--scale", "0.02", "--lake", str(tmp_path / "lake")]

    ended = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert "20 of 20 slices have exactly the records of the sandbox" in ended.stderr
    last = ended.stderr.rpartition("The same command again finds everything done:")[2]
    ask = last.partition("\nask ")[2].strip()
    asked = subprocess.run(["bash", "-ec", ask], stdout=subprocess.PIPE, text=True, check=True)
    assert "general_payments" in asked.stdout
    assert "  marts" in last
    assert last.count("already") == 5
    assert [line.split()[0] for line in last.splitlines()[-14:] if line] == [
        *map(str, range(1, 11)),
        "page",
        "marts",
        "ask",
    ]
