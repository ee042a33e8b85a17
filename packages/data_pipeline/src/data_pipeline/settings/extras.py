"""Libraries that only some jobs need, and how to install them.

Nobody has registered our names at a package index: anybody may publish anything under them. So we advise
paths of the checkout only.
"""

from __future__ import annotations

from importlib.util import find_spec

from etl_core.errors import ConfigError


def require(library: str, extra: str) -> None:
    """Raise ``ConfigError`` if ``library`` of our extra ``extra`` is not installed."""
    if find_spec(library) is None:
        raise ConfigError(f"{library} is not installed.", advice=advice(extra))


def advice(extra: str) -> str:
    """How to install an extra from a checkout."""
    analytics = " ./packages/analytics" if extra == "dbt" else ""  # pip would ask an index for it
    return (
        f"In the checkout: pip install ./packages/etl_core{analytics} './packages/data_pipeline[{extra}]'. "
        "For uv and pipx see docs/installation.md."
    )
