"""20,000 files copied within S3 by ``get_s3_files``, beside bare calls of boto3 and s5cmd; and a second run.

The server is a stand-in on loopback, in a process of its own, and answers far faster than moto, which would be what is
measured. It answers at once, and after 30 ms as a bucket in the same region does.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

from benchmarks.measure import Cost, installed, run
from benchmarks.upload import SETTINGS

FILES, STREAMS = 20_000, 16
ROUNDS = 3
LATENCY = 0.03
SERVER = r"""
import asyncio, re, sys
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

FILES, latency = int(sys.argv[1]), float(sys.argv[2])
TIME, ETAG = "2026-11-29T12:00:00.000Z", "9a0364b9e99bb480dd25e1f0284c8555"
buckets = {"source": {f"docs/{number:06}.pdf": b"content" for number in range(FILES)}}
asked = 0

def answer(status, body=b"", headers=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body

def error(status, code):
    return answer(status, f"<Error><Code>{code}</Code></Error>".encode(), "Content-Type: application/xml\r\n")

def listing(objects, query):
    prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", query.get("start-after", [""]))[0]
    keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
    rows = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{TIME}</LastModified><ETag>&quot;{ETAG}&quot;</ETag>"
        f"<Size>{len(objects[key])}</Size></Contents>" for key in keys[:1000]
    )
    more = f"<NextContinuationToken>{escape(keys[999])}</NextContinuationToken>" if len(keys) > 1000 else ""
    is_cut = str(len(keys) > 1000).lower()
    page = f"<ListBucketResult><IsTruncated>{is_cut}</IsTruncated>{more}{rows}</ListBucketResult>"
    return answer("200 OK", page.encode(), "Content-Type: application/xml\r\n")

def respond(method, path, headers, body):
    global asked
    if path == "/_requests":
        return answer("200 OK", str(asked).encode())
    asked += 1
    parts = urlsplit(path)
    bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
    query, objects = parse_qs(parts.query, keep_blank_values=True), buckets.setdefault(bucket, {})
    said = f'ETag: "{ETAG}"\r\nLast-Modified: Sun, 29 Nov 2026 12:00:00 GMT\r\n'
    if method == "PUT" and key:
        if headers.get("if-none-match") == "*" and key in objects:
            return error("412 Precondition Failed", "PreconditionFailed")
        if "x-amz-copy-source" not in headers:
            objects[key] = body
            return answer("200 OK", headers=said)
        source, _, name = unquote(headers["x-amz-copy-source"]).lstrip("/").partition("/")
        objects[key] = buckets[source][name]
        return answer("200 OK", f'<CopyObjectResult><ETag>"{ETAG}"</ETag><LastModified>{TIME}</LastModified>'
                      "</CopyObjectResult>".encode(), "Content-Type: application/xml\r\n")
    if not key:
        return listing(objects, query) if method == "GET" else answer("200 OK")
    if key not in objects:
        return error("404 Not Found", "NoSuchKey")
    if method == "HEAD":
        return f"HTTP/1.1 200 OK\r\nContent-Length: {len(objects[key])}\r\n{said}\r\n".encode()
    return answer("200 OK", objects[key], said)

async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            method, path, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            if headers.get("expect"):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            if latency:
                await asyncio.sleep(latency)
            writer.write(respond(method, path, headers, body))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""
# What nobody can do with boto3 in fewer calls: it looks at nothing, and verifies nothing.
BARE = """
import sys
from concurrent.futures import ThreadPoolExecutor
import boto3, botocore.config
files, streams = int(sys.argv[1]), int(sys.argv[2])
client = boto3.client("s3", config=botocore.config.Config(max_pool_connections=streams))
def copy(number):
    key = f"docs/{number:06}.pdf"
    client.copy_object(Bucket=sys.argv[3], Key=key, CopySource={"Bucket": "source", "Key": key})
with ThreadPoolExecutor(streams) as pool:
    assert len(list(pool.map(copy, range(files)))) == files
"""


@contextlib.contextmanager
def s3_server(latency: float) -> Iterator[str]:
    """The address of a fresh server that has the files in its bucket ``source``."""
    words = [sys.executable, "-c", SERVER, str(FILES), str(latency)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{(process.stdout.readline() if process.stdout else '').strip()}"
        process.communicate()  # closes its stdin, which ends it


def requests_so_far(url: str) -> int:
    with urlopen(f"{url}/_requests") as answer:
        return int(answer.read())


def make_list(folder: Path) -> tuple[Path, Path]:
    """The files as a database and as commands of s5cmd."""
    database, commands = folder / "files.db", folder / "commands"
    with sqlite3.connect(database) as connection:
        connection.execute(
            "CREATE TABLE agency_files (agency_id INTEGER, file_id INTEGER PRIMARY KEY, key TEXT, size INTEGER,"
            " updated_at TIMESTAMP)"
        )
        keys = [f"docs/{number:06}.pdf" for number in range(FILES)]
        rows = [(10, number, key, 7, None) for number, key in enumerate(keys)]
        connection.executemany("INSERT INTO agency_files VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    commands.write_text("".join(f"cp s3://source/{key} s3://BUCKET/{key}\n" for key in keys))
    return database, commands


def compare(latency: float, folder: Path, s5cmd: Path) -> list[dict[str, object]]:
    """All in turn, each into buckets of its own; medians of the rounds."""
    database, commands = make_list(folder)
    costs: dict[str, list[Cost]] = {}
    requests: dict[str, int] = {}
    with s3_server(latency) as url:
        environment = {**SETTINGS, "AWS_ENDPOINT_URL": url, "DATABASE_URL": f"sqlite:///{database}"}
        for number in range(ROUNDS):
            ours, bare, theirs = (f"{name}-{number}" for name in ("ours", "bare", "theirs"))
            own = folder / "own-commands"
            own.write_text(commands.read_text().replace("BUCKET", theirs))
            job = ["data-pipeline", "run", "get_s3_files", "--", "--agency-id", "10", "--source-bucket", "source"]
            for name, words in {
                "get_s3_files": [*job, "--destination-bucket", ours],
                "get_s3_files again": [*job, "--destination-bucket", ours],
                "boto3, bare": [sys.executable, "-c", BARE, str(FILES), str(STREAMS), bare],
                "s5cmd": [
                    str(s5cmd),
                    "--endpoint-url",
                    url,
                    "--numworkers",
                    str(STREAMS),
                    "--log",
                    "error",
                    "run",
                    str(own),
                ],
            }.items():
                before = requests_so_far(url)
                costs.setdefault(name, []).append(run(words, cwd=folder, **environment))
                requests[name] = requests_so_far(url) - before
    walls = {name: statistics.median(one.wall for one in own) for name, own in costs.items()}
    said = json.loads(costs["get_s3_files"][-1].stdout)
    if said["files"] != {"copied": FILES}:
        sys.exit(f"not every file was copied: {said}")
    return [
        {
            "answers after": f"{latency * 1000:.0f} ms",
            "what": name,
            "s": round(wall, 1),
            "files/s": round(FILES / wall),
            "of boto3's rate": round(walls["boto3, bare"] / wall, 2),
            "cpu s": round(statistics.median(one.cpu for one in costs[name]), 1),
            "peak MB": round(max(one.peak for one in costs[name]) / 1e6),
            "requests": requests[name],
        }
        for name, wall in walls.items()
    ]


def main() -> list[dict[str, object]]:
    """At once, and with the latency of a bucket."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        s5cmd = installed("s5cmd", folder / "venv") / "s5cmd"
        rows = []
        for latency in (0.0, LATENCY):
            (place := folder / f"{latency}").mkdir()
            rows += compare(latency, place, s5cmd)
        return rows
