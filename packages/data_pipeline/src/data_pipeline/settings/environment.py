"""Settings from the environment and ``.env``: the only reader of both."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipeline.settings import Settings
from etl_core.errors import ConfigError, UsageError
from etl_core.printable import without_password

if TYPE_CHECKING:
    from collections.abc import Mapping

DOTENV = Path(".env")
ARGUMENTS = "the arguments"
# Read by boto3, by the network libraries, by Docker Compose and by Airflow.
_OF_OTHERS = (
    "AWS_",
    "HTTP_",
    "HTTPS_",
    "NO_PROXY",
    "REQUESTS_",
    "SSL_",
    "COMPOSE_",
    "DOCKER_",
    "AIRFLOW_",
    "PYTHON",
    "TZ",
)


@dataclass(frozen=True)
class Dotenv:
    """What a file of variables holds: each value by its name."""

    path: Path
    values: Mapping[str, str]

    def unknown_names(self) -> list[str]:
        """A sentence about each name that no setting has: it may be misspelt, and changes nothing."""
        known = [name.upper() for name in Settings.model_fields]
        unknown = [one for one in self.values if one not in known and not one.upper().startswith(_OF_OTHERS)]
        return [
            _about_unknown(f"{self.path}: {one} is no setting.", get_close_matches(one.upper(), known, 1))
            for one in unknown
        ]


def load_settings(
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
    *,
    dotenv: Dotenv | None = None,
) -> Settings:
    """Settings from ``overrides``, else from the environment, else from ``.env``; by field name, None is not given.

    Without ``environ`` it is that of this process, which then also gets the ``AWS_*`` of ``.env``: boto3 reads them
    from the environment and knows no ``.env``.

    Raises:
        ConfigError: names the setting, where it came from and what is wrong with it; or as ``read_dotenv``.
        UsageError: LAKE_URL and S3_BUCKET name different lakes.

    """
    dotenv = dotenv or read_dotenv()
    if environ is None:
        environ = os.environ
        for name, value in dotenv.values.items():
            if name.startswith("AWS_"):
                os.environ.setdefault(name, value)
    layers: tuple[tuple[str, Mapping[str, object]], ...] = (
        (str(dotenv.path), {name: value for name, value in dotenv.values.items() if value}),
        ("the environment", {name: value for name, value in environ.items() if value}),
        (ARGUMENTS, {name.upper(): value for name, value in (overrides or {}).items() if value is not None}),
    )
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        values |= layer
        origins |= dict.fromkeys(layer, origin)
    _take_bucket(values, origins)
    return Settings.from_mapping(values, origins=origins)


def _about_unknown(found: str, near: list[str]) -> str:
    return f"{found} Did you mean {near[0]}?" if near else found


def _take_bucket(values: dict[str, object], origins: dict[str, str]) -> None:
    """``S3_BUCKET`` alone names the lake; a lake on the command line takes the place of both."""
    bucket, lake = values.get("S3_BUCKET"), values.get("LAKE_URL")
    if not bucket or origins.get("LAKE_URL") == ARGUMENTS:
        return
    if lake is not None and str(lake).rstrip("/").split("/")[:3] != ["s3:", "", bucket]:
        raise UsageError(
            f"S3_BUCKET={bucket!r} (from {origins['S3_BUCKET']}) and LAKE_URL={without_password(lake)!r} "
            f"(from {origins['LAKE_URL']}) name different lakes.",
            advice="Leave one of them out.",
        )
    values.setdefault("LAKE_URL", f"s3://{bucket}")


def read_dotenv(path: Path = DOTENV) -> Dotenv:
    """The file, empty if there is none; raises ``ConfigError`` if it cannot be read."""
    from dotenv.parser import parse_stream

    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return Dotenv(path, {})
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", advice="Repair it or move it away.") from error
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise ConfigError(
                f"{path}, line {binding.original.line}, is not NAME=value.",
                advice="Correct the line or comment it out with #.",
            )
        if binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return Dotenv(path, values)
