"""The parts of README.md that follow from the code, each between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from data_pipeline.cli import cli
from data_pipeline.registry import Registry
from data_pipeline.settings import Settings
from data_pipeline.summary import PROGRAM
from etl_core.errors import EXIT_STATUSES

README = Path(__file__).resolve().parent.parent / "README.md"


def help_text() -> str:
    with cli.make_context(PROGRAM, [], resilient_parsing=True, terminal_width=100) as context:
        return f"```\n$ {PROGRAM} --help\n{cli.get_help(context)}\n```"


def jobs_table() -> str:
    rows = [f"| `{name}` | {description} |" for name, description in Registry().listings().items()]
    return "\n".join(["| job | what it does |", "|---|---|", *rows])


def status_table() -> str:
    rows = [f"| {status.code} | {status.meaning} | {status.who_acts} |" for status in EXIT_STATUSES]
    return "\n".join(["| status | meaning | who acts |", "|--:|---|---|", *rows])


def settings_table() -> str:
    rows = [
        f"| `{name.upper()}` | {_default(one.default)} | {one.description} |"
        for name, one in Settings.model_fields.items()
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def _default(value: object) -> str:
    if isinstance(value, SecretStr):  # no default is a secret
        value = value.get_secret_value()
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`" if text else ""


PARTS = {"help": help_text, "jobs": jobs_table, "status": status_table, "settings": settings_table}


def files() -> dict[str, str]:
    """README.md with every part as the code has it now; ValueError where a part is missing."""
    text = README.read_text(encoding="utf-8")
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        head, found, rest = text.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"README.md has no part {name}")
        text = f"{head}{begin}{make()}\n{end}{tail}"
    return {"README.md": text}
