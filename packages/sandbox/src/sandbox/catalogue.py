"""The metastore: datasets, their distributions and reference ids, and the site's own script (facts 1.8, 2.1, 2.2)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sandbox.columns import load_json
from sandbox.releases import Distribution, Release, reference_id
from sandbox.settings import Settings

_KINDS = {  # kind: title, theme, part of the file's name, description
    "general": (
        "General Payment",
        "General Payments",
        "GNRL",
        "general (non-research, non-ownership related) payments",
    ),
    "research": ("Research Payment", "Research Payments", "RSRCH", "research-related payments"),
    "ownership": ("Ownership Payment", "Ownership Payments", "OWNRSHP", "ownership and investment interests"),
}


@dataclass(frozen=True)
class Entry:
    """One dataset of the catalogue and its only distribution."""

    dataset_id: str
    title: str
    theme: str
    keyword: str
    description: str
    temporal: str | None
    modified: date
    distribution: Distribution

    def item(self, settings: Settings, *, reference_ids: bool) -> dict[str, Any]:
        """The dataset's JSON; with reference ids every referenced part becomes {identifier, data}."""

        def referenced(schema: str, data: Any) -> Any:
            return {"identifier": reference_id(schema, data), "data": data} if reference_ids else data

        modified = self.modified.isoformat() + ("T12:00:00+0000" if settings.modified_format == "datetime" else "")
        temporal = {"temporal": self.temporal} if self.temporal else {}
        return {
            "bureauCode": ["009:38"],
            "programCode": ["009:000"],
            "accessLevel": "public",
            "keyword": [referenced("keyword", self.keyword)],
            "contactPoint": {"fn": "Open Payments", "hasEmail": "mailto:openpayments@cms.hhs.gov"},
            "dataQuality": True,
            "description": self.description,
            "distribution": [self._shown_distribution() if reference_ids else self.distribution.data],
            "identifier": self.dataset_id,
            "title": self.title,
            "issued": modified,
            "modified": modified,
            **temporal,
            "publisher": referenced("publisher", {"name": "openpaymentsdata.cms.gov"}),
            "license": "https://www.usa.gov/government-works",
            "theme": [referenced("theme", self.theme)],
            **({"%modified": f"{self.modified.isoformat()}T02:33:46+0000"} if reference_ids else {}),
        }

    def _shown_distribution(self) -> dict[str, Any]:
        identifier, version = self.distribution.resource
        file = {"filePath": self.distribution.data["downloadURL"], "identifier": identifier, "mimeType": "text/csv"}
        source = {**file, "perspective": "source", "version": version, "checksum": None}
        reference = {"%Ref:downloadURL": [{"identifier": f"{identifier}__{version}__source", "data": source}]}
        return {"identifier": self.distribution.id, "data": self.distribution.data | reference}


def yearly_dataset_id(kind: str, year: int) -> str:
    """The stable dataset id of a program year; an id of our own where the real one is unknown."""
    known: str | None = load_json("catalogue.json")["yearly"][kind].get(str(year))
    return known or str(uuid.uuid5(uuid.NAMESPACE_DNS, f"dataset:{kind}:{year}"))


def entries(settings: Settings, current: Iterable[Release]) -> list[Entry]:
    """The summaries of the real catalogue, and three datasets for each published year."""
    latest = max((release.modified for release in current), default=date(2025, 6, 30))
    found = []
    for identifier, title, temporal in load_json("catalogue.json")["others"]:
        file = Distribution(title, "SMRY_RPTS", f"PBLCTN_{identifier[:8].upper()}", latest)
        found.append(Entry(identifier, title, "Summary", "all years", title, temporal, latest, file))
    return found + [_yearly(settings, kind, release) for release in current for kind in _KINDS]


def _yearly(settings: Settings, kind: str, release: Release) -> Entry:
    title, theme, part, described = _KINDS[kind]
    year, dash = release.year, " \u2013" if settings.title_dash else ""
    file_title = f"{title} Data - Detailed Dataset {year} Reporting Year"
    stem = f"OP_DTL_{part}_PGYR{year}"
    other = Distribution(file_title, f"PGYR{year}", stem, release.modified, release.number)
    return Entry(
        yearly_dataset_id(kind, year),
        f"{year}{dash} {title} Data",
        theme,
        str(year),
        f"All {described} from the {year} program year",
        f"{year}-01-01/{year}-12-31",
        release.modified,
        release.distribution if kind == "general" else other,
    )


def script(settings: Settings) -> str:
    """The front end's script: `PGYR2024:[{type:"generalPayments",id:"..."},...]` inside minified code."""
    blocks = []
    for year in sorted({*settings.years, *settings.listed_years}):
        ids = ",".join(f'{{type:"{kind}Payments",id:"{yearly_dataset_id(kind, year)}"}}' for kind in _KINDS)
        blocks.append(f"PGYR{year}:[{ids}]")
    rng = random.Random("script")
    noise = [f"function {rng.choice('abcdefgh')}{n}(e,t){{return e&&t[{rng.randrange(99)}]}}" for n in range(400)]
    return f"!function(){{{''.join(noise[:200])}var r={{{','.join(blocks)}}};{''.join(noise[200:])}}}();\n"
