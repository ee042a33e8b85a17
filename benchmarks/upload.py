"""A committed run copied to S3 with this tool and with ``aws s3 sync``, first into nothing and then onto the copy.

The server is moto on loopback, in a process of its own. It answers at once, which shows what each client costs, and
after 30 ms, as a bucket in the same region does.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.measure import installed, run, run_job, sandbox

YEAR, SLICES = "2024", 300
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

def counted(environ, start_response):
    if environ["PATH_INFO"] == "/_requests":
        start_response("200 OK", [])
        return [str(next(numbers)).encode()]
    next(numbers)
    time.sleep(float(sys.argv[1]))
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
    """Requests the server has received, this one included."""
    with urlopen(f"{url}/_requests") as answer:
        return int(answer.read())


def compare(case: str, lake: Path, files: Path, aws: Path, latency: float) -> list[dict[str, object]]:
    """Both in turn, each to its own prefixes of one bucket; medians of the rounds."""
    sizes = [path.stat().st_size for path in files.rglob("*") if path.is_file()]
    walls: dict[tuple[str, str], list[float]] = {}
    requests: dict[tuple[str, str], int] = {}
    with s3_server(latency) as url:
        urlopen(Request(f"{url}/bucket", method="PUT")).close()
        for number in range(ROUNDS):
            for name in ("ours", "theirs"):
                target = f"s3://bucket/{name}-{number}"
                words = [str(aws), "s3", "sync", "--only-show-errors", str(files), target]
                if name == "ours":
                    words = ["data-pipeline", "run", "upload_raw", "--", "--run-id", "one", "--to", target]
                for step in ("first copy", "again"):
                    before = requests_so_far(url)
                    cost = run(
                        words, cwd=lake, **SETTINGS, AWS_ENDPOINT_URL=url, S3_ENDPOINT_URL=url, LAKE_URL=str(lake)
                    )
                    walls.setdefault((step, name), []).append(cost.wall)
                    requests[step, name] = requests_so_far(url) - before - 1
    rows: list[dict[str, object]] = []
    for step in ("first copy", "again"):
        ours, theirs = (statistics.median(walls[step, name]) for name in ("ours", "theirs"))
        rows.append(
            {
                "case": f"{step}, {case}",
                "files": len(sizes),
                "MB": round(sum(sizes) / 1e6),
                "ours s": round(ours, 2),
                "sync s": round(theirs, 2),
                "ratio": round(ours / theirs, 2),
                "our requests": requests[step, "ours"],
                "sync requests": requests[step, "theirs"],
            }
        )
    return rows


def main() -> list[dict[str, object]]:
    """A run of 300 slices; without and with the latency of a bucket."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lake, files = folder / "lake", folder / "files"
        aws = installed("awscli", folder / "venv") / "aws"
        with sandbox(years=[int(YEAR)], scale=0.02, first_companies=SLICES) as url:
            run_job(url, lake, "run_pipeline", "--", "--year", YEAR, "--run-id", "one")
        # `sync` gets the files of the run and nothing else.
        run(["data-pipeline", "run", "upload_raw", "--", "--run-id", "one", "--to", str(files)], LAKE_URL=str(lake))
        return [
            *compare("answers at once", lake, files, aws, 0),
            *compare(f"answers after {LATENCY * 1000:.0f} ms", lake, files, aws, LATENCY),
        ]
