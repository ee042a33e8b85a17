"""The session on the README's first screen: ``session.py`` runs it against the sandbox and writes it down there.

Text goes between two marks of README.md, pictures of the run and of the page to docs/images.
``tests/end_to_end/test_session.py`` runs it again, and compares what is the same each time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, it finds only its own folder
from tools import demo, isolated, terminal

ROOT = Path(__file__).resolve().parent.parent
README, PICTURE, RUN = ROOT / "README.md", ROOT / "docs/images/page.png", ROOT / "docs/images/run.svg"
BEGIN, END = "<!-- session:begin -->\n```\n", "```\n<!-- session:end -->"
SCALE, FAULTS = "0.05", "0.2"
BUILD = "data-pipeline run build -- --year 2024 --max-files 20 > build.json"
QUERY = """data-pipeline run query -- "
    SELECT record_id, date_of_payment AS date, total_amount_of_payment_usdollars AS usd,
           nature_of_payment_or_transfer_of_value AS nature
    FROM general_payments ORDER BY usd DESC, record_id LIMIT 5" 2> log"""
TRACE = "data-pipeline run trace -- {} > trace.json"
# What differs from run to run, each by what stands for it.
MASKS = {
    r"20\d\d-\d\d-\d\d[ T]\d\d[:-]\d\d[:-]\d\d": "TIME",
    r"\d+\.\d+ s\b": "SECONDS",
    r"127\.0\.0\.1:\d+": "SANDBOX",
    r"\d+ requests, \d+ of them retries": "REQUESTS",
    r"(?<![0-9a-f])[0-9a-f]{8}(?![0-9a-f])": "HASH",
    r"record [\d,]+, line [\d,]+, byte [\d,]+": "PLACE",  # the source gives its rows in any order
    r"\b[0-9a-f]{16}…": "SHA256",
    r"[\d.]+ MB": "SIZE",
    r"\d+ tables, \d+ tests": "TABLES",  # a new test of the marts is no new session
    r"           before it, at .*\n": "",
    r" +": " ",
}


@dataclass(frozen=True)
class Session:
    """What a terminal shows, the page that was made, and what the script after it printed."""

    text: str
    page: Path
    afterwards: str


@contextlib.contextmanager
def source(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a person in ``folder``, where ``./data`` becomes the lake, with a sandbox as the source."""
    with demo.sandbox(SCALE, FAULTS) as url:
        environment = os.environ | {"OPEN_PAYMENTS_URL": url, "LOG_LEVEL": "error", "LAKE_URL": "./data"}
        yield environment | {"PATH": f"{demo.BIN}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(folder / "cache")}


def run(folder: Path, then: str = "") -> Session:
    """The commands one after the other in ``folder``, and after them a script; ``RuntimeError`` if one fails."""
    with source(folder) as environment:
        shown = [_shown(BUILD, folder, environment), _shown(QUERY, folder, environment)]
        record_id = re.findall(r"^ *(\d{6,})\b", shown[-1], re.MULTILINE)[0]
        shown.append(_shown(TRACE.format(record_id), folder, environment))
        afterwards = _shown(then, folder, environment)
    text = "\n".join(shown).replace(folder.resolve().as_uri(), "file:///home/me")
    return Session(text, next(folder.glob("data/metadata/reports/**/*.html")), afterwards)


def _shown(typed: str, folder: Path, environment: dict[str, str]) -> str:
    """A command and what the terminal shows of it."""
    ended = subprocess.run(
        ["bash", "-ec", typed],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{typed} ended with {ended.returncode}: {ended.stdout}")
    return f"$ {typed}\n{ended.stdout}"


def masked(text: str) -> list[str]:
    """The lines of a session, without what differs from run to run."""
    for pattern, name in MASKS.items():
        text = re.sub(pattern, name, text)
    return text.strip().splitlines()


def written() -> tuple[str, str, str]:
    """README.md before the session, the session, and what comes after it."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    text, _, after = rest.partition(END)
    return before, text, after


def picture(page: Path, folder: Path) -> dict[str, list[str]]:
    """Pictures of a page by Chromium, and what is wrong with it, by look; raises ``UnavailableError``."""
    if shutil.which("chromium") is None:
        raise isolated.UnavailableError("there is no chromium")
    python = isolated.program("playwright").with_name("python")
    words = [str(python), str(ROOT / "tools/look.py"), str(page), str(folder)]
    return dict(json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout))


def moving_picture(folder: Path) -> str:
    """The build on a terminal, as an SVG."""
    typed = BUILD.partition(" > ")[0]
    with source(folder) as environment:
        pieces = terminal.output(typed.split(), folder, environment)
        named = (piece.replace(folder.resolve().as_uri(), "file:///home/me") for piece in pieces)
        return terminal.picture(terminal.chosen(terminal.screens(itertools.chain([f"$ {typed}\r\n"], named))))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        session = run(Path(folder))
        picture(session.page, Path(folder) / "pictures")
        before, _, after = written()
        README.write_text(f"{before}{BEGIN}{session.text}{END}{after}", encoding="utf-8")
        PICTURE.parent.mkdir(exist_ok=True)
        shutil.copy(Path(folder) / "pictures/desktop.png", PICTURE)
    with tempfile.TemporaryDirectory() as folder:
        RUN.write_text(moving_picture(Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
