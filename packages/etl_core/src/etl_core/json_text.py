"""JSON of others."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: bytes | str) -> Any:  # noqa: ANN401 - JSON
    """What a text says; raises ``ValueError`` for whatever is no JSON, or is nested deeper than Python reads."""
    try:
        return json.loads(text)
    except RecursionError as error:  # from some thousand open brackets
        raise ValueError("the JSON is nested too deeply") from error
