"""`python -m sandbox serve`: a simulated source as a process."""

from __future__ import annotations

import json
import os
import shlex
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

import click

from sandbox.cluster import Cluster, ClusterSettings, Instant
from sandbox.faults import STAGES, literal, parse
from sandbox.open_payments.api import Sandbox
from sandbox.open_payments.settings import Settings

_HELP = """Serve a simulated openpaymentsdata.cms.gov on loopback.

Prints {"url": ...} as one line of JSON once it listens, and runs until SIGTERM or SIGINT.

\b
A small world, always the same for the same seed; it ends with this shell:
  python -m sandbox serve --year 2024 --first-companies 20 --parent-pid $$
One company with a given number of rows, in the older dialect, with a price on OFFSET:
  python -m sandbox serve --set "company_rows={'100000000053': 300000}" --set dialect=A \\
    --set seconds_per_million_skipped=7.7 --warm
Faults; each name takes probability, count, match, after and parameters of its own:
  python -m sandbox serve --fault http_500:probability=0.05,match=/download --fault stall:count=1,seconds=5

While it runs, /_sandbox/truth, /ledger, /faults, /settings and /republish inspect and change it.
"""

_CLUSTER_HELP = """Serve a stand-in for a Kubernetes API server on loopback; its pods are processes of this machine.

Prints {"url": ..., "kubeconfig": ...} as one line of JSON once it listens, and runs until SIGTERM or SIGINT.

\b
  python -m sandbox cluster --image etl=/path/.venv/bin/data-pipeline --namespace etl --set pods_at_once=4
\b
Faults of requests and of pods; each name takes probability, count, match and parameters of its own:
  python -m sandbox cluster --fault http_429:probability=0.05 --fault disrupted:count=2,seconds=1
"""


def _split(pair: str) -> tuple[str, str, str]:
    if "=" not in pair:
        raise click.BadParameter(f"expected NAME=VALUE, not {pair!r}")
    return pair.partition("=")


def _signalled() -> threading.Event:
    """Set by SIGTERM and SIGINT from now on; asked for before anybody can know of this process."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as problem:
        return isinstance(problem, PermissionError)
    return True


@click.group(context_settings={"max_content_width": 100})
def main() -> None:
    """Simulated data sources for tests, benchmarks and demos."""


@main.command(help=_HELP)
@click.option("--port", default=0, show_default=True, help="0 takes a free port.")
@click.option("--year", "years", type=int, multiple=True, default=(2024,), show_default=True, help="Repeatable.")
@click.option("--scale", default=0.01, show_default=True, help="Rows of a company = real rows times this.")
@click.option("--first-companies", type=int, help="Only the N lowest payer ids with rows.")
@click.option("--company", "companies", multiple=True, metavar="ID", help="Only this payer. Repeatable.")
@click.option("--fault", "faults", multiple=True, metavar="NAME[:KEY=VALUE,...]", help=f"One of {', '.join(STAGES)}.")
@click.option("--set", "others", multiple=True, metavar="NAME=VALUE", help="Any other setting, see README.")
@click.option("--warm", is_flag=True, help="Make all rows before the URL is printed.")
@click.option("--parent-pid", type=int, help="Exit when this process is gone.")
def serve(faults: tuple[str, ...], others: tuple[str, ...], **told: Any) -> None:
    """Serve until a signal."""
    stop, warm, parent = _signalled(), told.pop("warm"), told.pop("parent_pid")
    told["companies"] = told["companies"] or None
    told |= {name: literal(value) for name, _, value in map(_split, others)}
    try:
        options = [parse(text) for text in faults]
        with Sandbox(Settings(**told)) as sandbox:
            for option in options:
                sandbox.fault(**option)
            if warm:
                sandbox.warm()
            click.echo(json.dumps({"url": sandbox.url}))
            while not stop.wait(1.0) and (parent is None or _alive(parent)):
                pass
    except (TypeError, ValueError) as problem:
        raise click.UsageError(str(problem)) from problem


@main.command(help=_CLUSTER_HELP)
@click.option("--image", "images", multiple=True, metavar="NAME=COMMAND", help="What runs for an image. Repeatable.")
@click.option("--namespace", "namespaces", multiple=True, default=("default",), show_default=True, help="Repeatable.")
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="What every pod finds. Repeatable.")
@click.option("--instant", type=int, metavar="STATUS", help="No processes: every pod ends at once with this status.")
@click.option("--port", default=0, show_default=True, help="0 takes a free port.")
@click.option("--fault", "faults", multiple=True, metavar="NAME[:KEY=VALUE,...]", help="See the README.")
@click.option("--set", "others", multiple=True, metavar="NAME=VALUE", help="Any other setting, see the README.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Where to write it; else a temporary file.")
@click.option("--parent-pid", type=int, help="Exit when this process is gone.")
def cluster(
    images: tuple[str, ...],
    environment: tuple[str, ...],
    faults: tuple[str, ...],
    others: tuple[str, ...],
    **told: Any,
) -> None:
    """Serve until a signal."""
    stop, parent, instant = _signalled(), told.pop("parent_pid"), told.pop("instant")
    kubeconfig = told.pop("kubeconfig")
    told["images"] = {name: tuple(shlex.split(command)) for name, _, command in map(_split, images)}
    told |= {name: literal(value) for name, _, value in map(_split, others)}
    if environment:
        told["base_environment"] = {name: value for name, _, value in map(_split, environment)}
    try:
        settings = ClusterSettings(**told, instant=None if instant is None else Instant(instant))
        options = [parse(text) for text in faults]
        with tempfile.TemporaryDirectory() as folder, Cluster(settings) as running:
            for option in options:
                running.fault(**option.pop("params"), **option)
            written = running.kubeconfig(kubeconfig or Path(folder) / "kubeconfig")
            click.echo(json.dumps({"url": running.url, "kubeconfig": str(written)}))
            while not stop.wait(1.0) and (parent is None or _alive(parent)):
                pass
    except (TypeError, ValueError) as problem:
        raise click.UsageError(str(problem)) from problem
