"""Processes of our own: started with this Python, killed at the end whatever happens."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def child(code: str, *arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that runs ``code``, with pipes to all three streams."""
    process = start(code, *arguments, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def start(
    code: str, *arguments: object, before: Callable[[], None] | None = None, **options: Any
) -> subprocess.Popen[str]:
    words = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)]
    options |= dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    if before is not None:
        options["preexec_fn"] = before
    return subprocess.Popen(words, text=True, **options)


def run(code: str, *arguments: object, **options: Any) -> tuple[int, str, str]:
    """Status, stdout and stderr of a process that ends by itself."""
    with child(code, *arguments, **options) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


def say(process: subprocess.Popen[str], text: str = "") -> None:
    """A line for a child that reads one."""
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a child says; empty when it has ended."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")
