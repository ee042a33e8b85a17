"""The metastore: datasets and their distributions, and the site's own script (facts 1.8, 2.1, 2.2)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from sandbox.open_payments.columns import load_json
from sandbox.open_payments.datasets import DATASETS
from sandbox.open_payments.releases import PUBLISHER, Release, distribution_id, file_of
from sandbox.open_payments.settings import Settings

_LISTED_AHEAD = 2025  # in the script before it is published (facts 2.1)


class Entry(NamedTuple):
    """One dataset of the catalogue."""

    dataset_id: str
    title: str
    theme: str
    keyword: str
    temporal: str | None
    modified: date
    file: dict[str, str]

    def item(self, settings: Settings, site: str, *, references: bool) -> dict[str, Any]:
        """The dataset's JSON; its files are at `site`. With `references` its parts come with their ids (facts 1.8)."""
        time = "T12:00:00+0000" if settings.modified_format == "datetime" else ""
        modified = self.modified + timedelta(settings.modified_days)
        item: dict[str, Any] = load_json("catalogue.json")["item"] | {
            "identifier": self.dataset_id,
            "title": settings.retitled.get(self.title, self.title),
            "description": self.title,
            "theme": [self.theme],
            "keyword": [self.keyword],
            **dict.fromkeys(("issued", "modified"), modified.isoformat() + time),
            "distribution": [self.file | {"downloadURL": self.file["downloadURL"].replace(PUBLISHER, site, 1)}],
        }
        item |= {"temporal": self.temporal} if self.temporal else {}
        return self._with_references(item, modified) if references else item

    def _with_references(self, item: Mapping[str, Any], modified: date) -> dict[str, Any]:
        """The distribution's id follows from the file at its publisher, wherever it is shown."""
        (file,) = item["distribution"]
        return {
            **item,
            **{name: [_reference(name, one) for one in item[name]] for name in ("theme", "keyword")},
            "publisher": _reference("publisher", item["publisher"]),
            "distribution": [{"identifier": distribution_id(self.file), "data": file}],
            "%modified": f"{modified.isoformat()}T12:00:00+0000",
        }


def _reference(schema: str, value: Any) -> dict[str, Any]:
    """A part of an item with its id, a UUID version 5 of the part."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return {"identifier": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{schema}:{text}")), "data": value}


def yearly_dataset_id(dataset: str, year: int) -> str:
    """The stable dataset id of a program year; an id of our own where the real one is unknown."""
    known: str | None = load_json("catalogue.json")["yearly"][dataset].get(str(year))
    return known or str(uuid.uuid5(uuid.NAMESPACE_DNS, f"dataset:{dataset}:{year}"))


def entries(settings: Settings, current: Sequence[Release]) -> list[Entry]:
    """The summaries of the real catalogue, and the datasets of each published year."""
    latest = max((release.modified for release in current), default=date(2025, 6, 30))
    found = []
    for identifier, title, temporal in load_json("catalogue.json")["others"]:
        file = file_of(title, "SMRY_RPTS", f"PBLCTN_{identifier[:8].upper()}", latest)
        found.append(Entry(identifier, title, "Summary", "all years", temporal, latest, file))
    for release in current:
        year, dash = release.year, " \u2013" if settings.title_dash else ""
        title, identifier = release.dataset.title, yearly_dataset_id(release.dataset.name, year)
        known = identifier, f"{year}{dash} {title} Data", f"{title}s", str(year), f"{year}-01-01/{year}-12-31"
        found.append(Entry(*known, release.modified, release.file))
    return found


def script(settings: Settings) -> str:
    """The front end's script: `PGYR2024:[{type:"generalPayments",id:"..."},...]` inside minified code."""
    blocks = []
    for year in sorted({*settings.years, _LISTED_AHEAD}):
        ids = ",".join(f'{{type:"{name}Payments",id:"{yearly_dataset_id(name, year)}"}}' for name in DATASETS)
        blocks.append(f"PGYR{year}:[{ids}]")
    return f"!function(){{function e(t){{return r[t]}}var r={{{','.join(blocks)}}};e()}}();\n"
