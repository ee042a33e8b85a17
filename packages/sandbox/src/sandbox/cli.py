"""`python -m sandbox serve`, `crm` and `cluster`: a stand-in as a process."""

from __future__ import annotations

import json
import os
import shlex
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from sandbox.cluster import Cluster, ClusterSettings, Instant
from sandbox.crm import Crm, CrmSettings
from sandbox.faults import literal, parse
from sandbox.open_payments.api import Sandbox
from sandbox.open_payments.datasets import DATASETS
from sandbox.open_payments.settings import Settings

_HELP = """Serve a simulated openpaymentsdata.cms.gov on loopback.

Prints {"url": ...} as one line of JSON once it listens, and runs until SIGTERM or SIGINT.

\b
A small world, the same for the same seed; it ends with this shell:
  python -m sandbox serve --year 2024 --first-companies 20 --parent-pid $$
One company with a given number of rows, in the older dialect, with a price on OFFSET:
  python -m sandbox serve --set "company_rows={'100000000053': 300000}" --set dialect=A \\
    --set seconds_per_million_skipped=7.7 --warm
Faults; each name takes probability, count, match, after and parameters of its own:
  python -m sandbox serve --fault http_500:probability=0.05,match=/download --fault stall:count=1,seconds=5

While it runs, /_sandbox/truth, /ledger, /faults, /settings and /republish inspect and change it.
"""

_CRM_HELP = """Serve a simulated CRM on loopback: /api/v1/customers, in pages, with a bearer token.

Prints {"url": ...} as one line of JSON once it listens, and runs until SIGTERM or SIGINT.

\b
  python -m sandbox crm --customers 100000 --fault http_500:probability=0.1 --fault http_429:probability=0.02
  API_BASE_URL=<url> API_TOKEN=sandbox-token data-pipeline run ingest_customers

While it runs, /_sandbox/truth, /ledger and /faults inspect and change it.
"""

_CLUSTER_HELP = """Serve a stand-in for a Kubernetes API server on loopback; its pods are processes of this machine.

Prints {"url": ..., "kubeconfig": ...} as one line of JSON once it listens, and runs until SIGTERM or SIGINT.

\b
  python -m sandbox cluster --image etl=/path/.venv/bin/data-pipeline --namespace etl --set pods_at_once=4
\b
Faults of requests and of pods; each name takes probability, count, match and parameters of its own:
  python -m sandbox cluster --fault http_429:probability=0.05 --fault disrupted:count=2,seconds=1
"""


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """`NAME=VALUE`, repeated."""
    for text in texts:
        if "=" not in text:
            raise click.BadParameter(f"expected NAME=VALUE, not {text!r}")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every stand-in."""
    for option in (
        click.option("--parent-pid", type=int, help="Exit when this process is gone."),
        click.option("--set", "others", multiple=True, metavar="NAME=VALUE", help="Any other setting, see the README."),
        click.option("--fault", "faults", multiple=True, metavar="NAME[:KEY=VALUE,...]", help="See the README."),
        click.option("--port", default=0, show_default=True, help="0 takes a free port."),
    ):
        command = option(command)
    return command


@contextmanager
def _until_stopped(parent: int | None) -> Iterator[ExitStack]:
    """Wait after the block for SIGTERM, SIGINT or the parent's end, then close the stack. ValueError: usage error."""
    stop = threading.Event()  # handlers are set before anybody can know of this process
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as running:
        try:
            yield running
        except (TypeError, ValueError) as problem:
            raise click.UsageError(str(problem)) from problem
        while not stop.wait(1.0) and (parent is None or _alive(parent)):
            pass


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as problem:
        return isinstance(problem, PermissionError)
    return True


@click.group(context_settings={"max_content_width": 100})
def main() -> None:
    """Simulated outside systems for tests, benchmarks and demos."""


@main.command(help=_HELP)
@click.option("--year", "years", type=int, multiple=True, default=(2024,), show_default=True, help="Repeatable.")
@click.option("--dataset", "datasets", multiple=True, default=tuple(DATASETS), show_default=True, help="Repeatable.")
@click.option("--scale", default=0.01, show_default=True, help="Rows of a company = real rows times this.")
@click.option("--first-companies", type=int, help="Only the N lowest payer ids with rows.")
@click.option("--company", "companies", multiple=True, metavar="ID", help="Only this payer. Repeatable.")
@click.option("--warm", is_flag=True, help="Make all rows of the first dataset before the URL is printed.")
@_common
def serve(parent_pid: int | None, faults: tuple[str, ...], others: tuple[str, ...], warm: bool, **options: Any) -> None:
    """Serve until a signal."""
    options["companies"] = options["companies"] or None
    options |= {name: literal(value) for name, value in _pairs(others).items()}
    with _until_stopped(parent_pid) as running:
        parsed = [parse(text) for text in faults]
        sandbox = running.enter_context(Sandbox(Settings(**options)))
        for fault in parsed:
            sandbox.fault(**fault)
        if warm:
            sandbox.warm()
        print(json.dumps({"url": sandbox.url}), flush=True)  # noqa: T201 - its result


@main.command(help=_CRM_HELP)
@click.option("--customers", default=1000, show_default=True, help="How many there are.")
@_common
def crm(parent_pid: int | None, faults: tuple[str, ...], others: tuple[str, ...], **options: Any) -> None:
    """Serve until a signal."""
    options |= {name: literal(value) for name, value in _pairs(others).items()}
    with _until_stopped(parent_pid) as running:
        parsed = [parse(text) for text in faults]
        stand_in = running.enter_context(Crm(CrmSettings(**options)))
        for fault in parsed:
            stand_in.fault(**fault)
        print(json.dumps({"url": stand_in.url}), flush=True)  # noqa: T201 - its result


@main.command(help=_CLUSTER_HELP)
@click.option("--image", "images", multiple=True, metavar="NAME=COMMAND", help="The command of an image. Repeatable.")
@click.option("--namespace", "namespaces", multiple=True, default=("default",), show_default=True, help="Repeatable.")
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="A variable of every pod. Repeatable.")
@click.option("--instant", type=int, metavar="STATUS", help="No processes: every pod ends at once with this status.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Where to write it; else a temporary file.")
@_common
def cluster(
    parent_pid: int | None,
    faults: tuple[str, ...],
    others: tuple[str, ...],
    images: tuple[str, ...],
    environment: tuple[str, ...],
    instant: int | None,
    kubeconfig: Path | None,
    **options: Any,
) -> None:
    """Serve until a signal."""
    options["images"] = {name: tuple(shlex.split(command)) for name, command in _pairs(images).items()}
    options |= {name: literal(value) for name, value in _pairs(others).items()}
    if environment:
        options["base_environment"] = _pairs(environment)
    with _until_stopped(parent_pid) as running:
        settings = ClusterSettings(**options, instant=None if instant is None else Instant(instant))
        parsed = [parse(text) for text in faults]
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        stand_in = running.enter_context(Cluster(settings))
        for fault in parsed:
            stand_in.fault(**fault.pop("params"), **fault)
        written = stand_in.kubeconfig(kubeconfig or folder / "kubeconfig")
        print(json.dumps({"url": stand_in.url, "kubeconfig": str(written)}), flush=True)  # noqa: T201 - its result
