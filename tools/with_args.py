"""Run a command with the arguments of the variable ARGS appended: ``with_args.py command word …``.

ARGS is split as a shell would (``ARGS='--x "a b"'`` is two words), but nothing in it is executed, expanded or matched
against files: make and its shell would do all three.
"""

from __future__ import annotations

import os
import shlex
import sys


def main() -> None:
    try:
        words = [*sys.argv[1:], *shlex.split(os.environ.get("ARGS", ""))]
    except ValueError as error:
        sys.exit(f"ARGS cannot be split into words: {error}.")
    os.execvp(words[0], words)  # noqa: S606 - without a shell is the point


if __name__ == "__main__":
    main()
