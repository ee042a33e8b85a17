"""``make demo``: from a source to answers on this machine, against the sandbox.

Starts the sandbox (a source with the behaviour and the faults of the real one), builds 20 companies of program year
2024, compares the lake with the sandbox's own records, and builds again, which does nothing: its output, the largest
companies and the page, is the last that is shown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
YEAR, COMPANIES = "2024", "20"


def say(text: str = "") -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def sandbox(scale: str, faults: str) -> Iterator[str]:
    """The URL of a sandbox in a process of its own, which ends with this one."""
    words = [str(BIN / "python"), "-m", "sandbox", "serve", "--port", "0", "--year", YEAR, "--scale", scale]
    words += ["--first-companies", COMPANIES, "--parent-pid", str(os.getpid()), "--warm"]
    for name in ("http_503", "short_body", "error_row", "repeated_row", "reset"):
        if float(faults):
            words += ["--fault", f"{name}:probability={float(faults) / 5:.4f},match=download"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            sys.exit("the sandbox did not start; its message is above")
        try:
            yield json.loads(line)["url"]
        finally:
            process.terminate()


def build(url: str, lake: Path) -> None:
    """The command a person would type, with its progress and its lines on this terminal."""
    shown = os.path.relpath(lake, Path.cwd())
    words = ["data-pipeline", "run", "build", "--", "--year", YEAR, "--max-files", COMPANIES, "--lake", shown]
    say(f"$ OPEN_PAYMENTS_URL={url} {' '.join(words)}")
    environment = os.environ | {"OPEN_PAYMENTS_URL": url, "LOG_LEVEL": "warning"}
    environment["XDG_CACHE_HOME"] = str(ROOT / ".cache")
    environment.pop("RUN_ID", None)
    command = [str(BIN / words[0]), *words[1:]]
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def compare_with_truth(url: str, lake: Path) -> tuple[int, int]:
    """How many slices have the record count and content hash of the sandbox, and how many there are."""
    slices = sorted(lake.glob("metadata/audits/**/slice.jsonl"))
    equal = 0
    for path in slices:
        audit = json.loads(path.read_text().splitlines()[0])
        question = f"{url}/_sandbox/truth?year={YEAR}&company_id={audit['company_id']}"
        with urllib.request.urlopen(question) as answer:
            truth = json.load(answer)["companies"][audit["company_id"]]
        equal += (truth["rows"], truth["content_hash"]) == (audit["records"], audit["content_hash"])
    return equal, len(slices)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="0.05", help="share of the real year's rows (default 0.05: 49,000 rows)")
    parser.add_argument("--faults", default="0.2", help="share of downloads that fail (default 0.2)")
    parser.add_argument("--lake", default=str(ROOT / "data" / "demo"), help="a folder for the demo; it is replaced")
    arguments = parser.parse_args()
    lake = Path(arguments.lake).resolve()
    if lake.exists():
        if not (lake / ".demo").exists():
            sys.exit(f"{lake} was not created by the demo; choose another folder with --lake")
        shutil.rmtree(lake)
    lake.mkdir(parents=True)
    (lake / ".demo").touch()

    say(f"The sandbox generates {COMPANIES} companies of program year {YEAR}, with the sizes of the real ones …")
    with sandbox(arguments.scale, arguments.faults) as url:
        say(f"It listens on {url}; {float(arguments.faults):.0%} of its downloads fail.\n")
        build(url, lake)
        equal, slices = compare_with_truth(url, lake)
        say(f"\n{equal} of {slices} slices have exactly the records of the sandbox (count and content hash).")
        if equal != slices:
            sys.exit("the lake differs from the source: this is a bug")
        shown = os.path.relpath(lake, Path.cwd())
        say(f"""
Where things are
  {shown}/raw/                       the records, as the source sent them
  {shown}/metadata/audits/           the proof of each file
  {shown}/curated/  {shown}/marts/   typed tables, and the database with the answers

What to type next
  make run YEAR={YEAR} MAX={COMPANIES}          the same against the real site, into ./data
  .venv/bin/data-pipeline list          all jobs; 'describe JOB' explains one

The same command again finds everything done:
""")
        build(url, lake)


if __name__ == "__main__":
    main()
