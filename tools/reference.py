"""The pages of docs/reference: what follows from the code and is not written by hand."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from pydantic import SecretStr

from data_pipeline.cli import cli
from data_pipeline.lakehouse.contract import Column, Contract
from data_pipeline.registry import Registry
from data_pipeline.settings import Settings
from data_pipeline.summary import PROGRAM
from etl_core.errors import EXIT_STATUSES
from tools import schemas

FOLDER = "docs/reference"
ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = "packages/data_pipeline/src/data_pipeline/*/contract/*.toml"
WIDTH = "80"


def _table(*rows: tuple[object, ...]) -> str:
    """Markdown of rows; the first one is the head."""
    head, *rest = (f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
    return "\n".join([head, f"|{'---|' * len(rows[0])}", *rest])


def command_page() -> str:
    with cli.make_context(PROGRAM, [], resilient_parsing=True, terminal_width=100) as context:
        text = context.get_help()
    statuses = _table(
        ("status", "meaning", "who acts"), *((one.code, one.meaning, one.who_acts) for one in EXIT_STATUSES)
    )
    return f"""# The command

```
$ {PROGRAM} --help
{text}
```

A job's options follow its name, after `--`; [jobs](jobs.md) has the help of each.

## Output

stdout carries one JSON object, the fact of the run, and nothing else. On a terminal it carries a summary and the
command that usually follows instead; `--json` brings the fact back. stderr carries progress, logs and a report for
people. The log (JSON lines) and the metrics (Prometheus text) are stored in the lake under `metadata/logs/`.

## Exit status

{statuses}

A run with failed slices ends with 4 if one of them may succeed later, otherwise with 3.
"""


def jobs_page(registry: Registry) -> str:
    listed = _table(
        ("job", "what it does"),
        *((f"[`{name}`](#{name})", description) for name, description in registry.listings().items()),
    )
    helps = "\n\n".join(f"## {name}\n\n```\n{_help_of(registry, name)}\n```" for name in registry.names())
    return f"# Jobs\n\n`{PROGRAM} describe JOB` prints the same.\n\n{listed}\n\n{helps}\n"


def _help_of(registry: Registry, name: str) -> str:
    """What ``describe`` shows of a job on a terminal of 80 columns."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
            registry.load(name).entrypoint(["--help"])
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return shown.getvalue().strip()


def settings_page() -> str:
    rows = [
        (f"`{name.upper()}`", _default(one.default), one.description) for name, one in Settings.model_fields.items()
    ]
    return f"""# Settings

Settings come from the environment, then from `.env` in the working folder. Options of a command override both.
Credentials of AWS are boto3's own (`AWS_PROFILE`, a role, `AWS_ENDPOINT_URL` for other S3 servers). They appear in no
log.

{_table(("setting", "default", "meaning"), *rows)}
"""


def _default(value: object) -> str:
    if isinstance(value, SecretStr):  # no default is a secret
        value = value.get_secret_value()
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`" if text else ""


def documents_page() -> str:
    rows = [
        (f"[{model.__name__}](../schemas/{model.__name__.lower()}.v1.json)", _first_sentence(model.__doc__ or ""))
        for model in sorted(schemas.MODELS, key=lambda one: one.__name__)
    ]
    return f"""# Documents

The JSON documents that other programs may rely on: those in the lake, and the facts that jobs print. Each has a JSON
Schema. A change that breaks a reader gets a new `schema_version`.

{_table(("document", "what it is"), *rows)}
"""


def _first_sentence(text: str) -> str:
    return " ".join(text.strip().partition("\n\n")[0].split()).replace("``", "`")


def columns_page(contracts: tuple[Contract, ...]) -> str:
    parts = [
        f"## {one.name}\n\nThe key is `{one.key.lower()}`.\n\n"
        + _table(("column", "kind", "rules"), *((f"`{c.title}`", c.kind, _rules(c)) for c in one.columns))
        for one in contracts
    ]
    return (
        """# Columns

The contract of each table: its columns, in the order of the file, and the rules of their values. `quarantine` takes a
record out, `flag` keeps it and names the rule in `_flags`, `drift` is only reported. In CSV files columns have CMS's
titles; in tables they are in lower case.

"""
        + "\n\n".join(parts)
        + "\n"
    )


def _rules(column: Column) -> str:
    says = {
        "required": "not empty",
        "pattern": _code(column.pattern),
        "type": "",
        "length": f"at most {column.length} characters",
        "range": f"{column.low} to {column.high}",
        "values": f"{len(column.values)} known values",
    }
    return "; ".join(f"{says[rule]} ({column.action(rule)})" for rule in column.rules if says[rule])


def _code(text: str) -> str:
    """Code in a cell: readers of Markdown disagree on what a backslash before a pipe is."""
    return f"<code>{''.join(one if one.isalnum() else f'&#{ord(one)};' for one in text)}</code>"


def files() -> dict[str, str]:
    """Path below the root, and text."""
    contracts = tuple(Contract.from_toml(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob(CONTRACTS)))
    registry = Registry()
    pages = {
        "command": command_page(),
        "jobs": jobs_page(registry),
        "settings": settings_page(),
        "documents": documents_page(),
        "columns": columns_page(contracts),
    }
    return {f"{FOLDER}/{name}.md": text for name, text in pages.items()}
