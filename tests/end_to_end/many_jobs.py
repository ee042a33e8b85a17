"""Runs jobs one after another in this process, for test_conformance: an import of a library is then paid once.

Reads a list of words per line, as JSON, and answers each with status, stdout and stderr, as JSON.
"""

import contextlib
import io
import json
import sys

from data_pipeline.cli import exit_code_of


def main() -> None:
    for line in sys.stdin:
        out, err = io.TextIOWrapper(io.BytesIO(), newline=""), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = exit_code_of(json.loads(line))
        out.flush()
        answer = {
            "status": status,
            "stdout": out.buffer.getvalue().decode("utf-8", "replace"),
            "stderr": err.getvalue(),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
