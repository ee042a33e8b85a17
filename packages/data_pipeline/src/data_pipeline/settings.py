"""Frozen settings. Each field's name in capitals is its environment variable.

Reading the environment is ``wiring``'s; this module only knows what the values mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from data_pipeline import __version__
from etl_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def _setting(default: Any, meaning: str, *, low: float | None = None, choices: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - a dataclass field takes any type
    return field(default=default, metadata={"meaning": meaning, "low": low, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """All settings of all jobs; credentials are not among them (boto3 reads its own ``AWS_*``)."""

    open_payments_url: str = _setting(
        "https://openpaymentsdata.cms.gov", "where the source is; the sandbox prints its own address"
    )
    open_payments_user_agent: str = _setting(
        # The site's edge refuses some unfamiliar names with 403; one that ends in that of the
        # library is let through, and is the truth.
        f"openpayments-data-pipeline/{__version__} python-requests",
        "how we introduce ourselves to the source",
    )
    lake_url: str = _setting("./data", "where the lake is: a folder, file:///…, or s3://bucket/prefix")
    source_max_streams: int = _setting(
        # Users report 15 to 39 MB/s with 8 streams and no more with 16.
        8,
        "concurrent requests to the source, for the whole run",
        low=1,
    )
    source_timeout_seconds: float = _setting(
        # Unindexed queries take up to 65 s before their first byte; ours are indexed and take 1 to 3.
        60.0,
        "seconds without a byte after which a request is given up",
        low=0.1,
    )
    source_attempts: int = _setting(6, "tries of a request or a window before it counts as failed", low=1)
    source_first_wait_seconds: float = _setting(
        0.5, "wait before the second try; doubles with each further one, up to 60", low=0.0
    )
    run_id: str = _setting(
        "", "name of the run, NAME-2 and so on where that is over; by default the unfinished one, or its start in UTC"
    )
    job_completion_index: int = _setting(
        -1, "which pod of an Indexed Job this is; Kubernetes sets it, and fan_out_worker reads it", low=-1
    )
    log_format: str = _setting(
        "auto", "how logs look: auto is console on a terminal, else json", choices=("auto", "console", "json")
    )
    log_level: str = _setting("info", "least level of log lines", choices=("debug", "info", "warning", "error"))
    grace_seconds: float = _setting(
        # Shorter than the 30 s that Docker and Kubernetes give before they kill.
        25.0,
        "seconds that windows under way get to finish after SIGTERM or Ctrl-C",
        low=0.0,
    )

    @classmethod
    def from_mapping(cls, values: Mapping[str, str], *, said_in: Mapping[str, str] | None = None) -> Settings:
        """Settings from environment-like text; ``said_in`` names where each came from, for error messages."""
        found: dict[str, Any] = {}
        for entry in fields(cls):
            name = entry.name.upper()
            if values.get(name, "") != "":
                found[entry.name] = _parse(
                    entry.type, name, values[name], entry.metadata, (said_in or {}).get(name, "")
                )
        return cls(**found)


def _parse(kind: Any, name: str, text: str, metadata: Mapping[str, Any], said_in: str) -> Any:  # noqa: ANN401 - str, int or float
    where = f" (from {said_in})" if said_in else ""
    if metadata["choices"] and text not in metadata["choices"]:
        raise ConfigError(f"{name}={text!r}{where} is not one of {', '.join(metadata['choices'])}.")
    if kind == "str":
        return text
    try:
        number = int(text) if kind == "int" else float(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r}{where} is not a number.", advice="Correct it or leave it out.") from None
    if not number >= metadata["low"]:
        raise ConfigError(f"{name}={text}{where} is too small; the least is {metadata['low']:g}.")
    return number
