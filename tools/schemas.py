"""JSON Schemas of everything the lake's readers may rely on: ``schemas.py check`` or ``schemas.py write``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.open_payments.ledger.documents import PUBLISHED
from etl_core.documents import Document

MODELS: tuple[type[Document], ...] = (*PUBLISHED, FanOutPlan)
FOLDER = Path(__file__).resolve().parent.parent / "docs" / "schemas"


def published() -> dict[str, str]:
    """File name to text."""
    return {
        f"{model.__name__.lower()}.v1.json": json.dumps(model.model_json_schema(), indent=2, ensure_ascii=False) + "\n"
        for model in MODELS
    }


def main() -> None:
    wanted = published()
    if sys.argv[1:] == ["write"]:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, text in wanted.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
        return
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    if found != wanted:
        sys.exit("docs/schemas is not what the models say; run `.venv/bin/python tools/schemas.py write`")


if __name__ == "__main__":
    main()
