"""Jobs that somebody drops into the folder, good and bad; what they do is all in their source."""

# The template of S4.2, to the letter: a file that knows nothing of us.
TEMPLATE = '''"""Example job: normalize agency records."""
import argparse
from typing import List


def _run(agency_id: int, dry_run: bool) -> int:
    """Business logic entry — keep this small and testable."""
    # ... call into your business modules in packages/data_pipeline/... or etl_core
    print(f"Running normalize for agency={agency_id} dry_run={dry_run}")
    return 0


def entrypoint(argv: List[str]) -> int:
    parser = argparse.ArgumentParser(prog="my-job")
    parser.add_argument("--agency-id", required=True, type=int)
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args(argv)
    return _run(args.agency_id, args.dry_run)


# REQUIRED: expose a simple JOB tuple (entrypoint, description)
JOB = (entrypoint, "Normalize agency records")
'''

# Says what it was given.
ECHO = """
import json

def entrypoint(argv):
    print(json.dumps(argv))

JOB = (entrypoint, "Say what was given")
"""

# Raises what its first argument names, made from JSON arguments; or returns it.
RAISES = """
import importlib, json

def entrypoint(argv):
    module, _, name = argv[0].rpartition(".")
    found = getattr(importlib.import_module(module), name)
    given = [json.loads(one) for one in argv[1:]]
    raise found(*given[0], **given[1])

JOB = (entrypoint, "Raise what is named")
"""

RETURNS = """
import json

def entrypoint(argv):
    return json.loads(argv[0])

JOB = (entrypoint, "Return what is given")
"""

# Click as its authors mean it to be used: in standalone mode, or with its context's own exits.
CLICK = """
import click

@click.command()
@click.option("--exit", "code", type=int)
@click.pass_context
def command(context, code):
    context.exit(code)

def entrypoint(argv):
    if argv[:1] == ["standalone"]:
        command(argv[1:])
    with command.make_context("job", argv) as context:
        return command.invoke(context)

JOB = (entrypoint, "Exit as told")
"""

GOOD = {"my_job": TEMPLATE, "echo": ECHO, "raises": RAISES, "returns": RETURNS, "click_job": CLICK}

# Source, and what ``list`` says of it.
BROKEN = {
    "raising": ("raise RuntimeError('not today\\nor ever')", "or ever"),
    "leaving": ("import sys\nsys.exit(7)", "SystemExit: 7"),
    "misspelt": ("def entrypoint(argv) return 0", "SyntaxError: "),
    "lost": ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
    "silent": ("raise ValueError", "ValueError"),
    "jobless": ("x = 1", "it has no JOB = (entrypoint, description)"),
    "listed": ("JOB = [print, 'a list']", "it has no JOB = (entrypoint, description)"),
    "short": ("JOB = (print,)", "it has no JOB = (entrypoint, description)"),
    "long": ("JOB = (print, 'a', 'b')", "it has no JOB = (entrypoint, description)"),
    "swapped": ("JOB = ('description', print)", "it has no JOB = (entrypoint, description)"),
    "wordless": ("JOB = (print, None)", "it has no JOB = (entrypoint, description)"),
}

# Files in the folder that are no jobs.
OTHERS = {
    "_helper.py": "raise RuntimeError('imported')",
    "registry.py": "raise RuntimeError",
    "notes.txt": "",
    "x.pyc": "",
}
