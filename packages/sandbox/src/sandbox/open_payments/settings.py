"""Every setting of the simulator, with its unit and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from sandbox.open_payments.csv_dialect import Dialect


@dataclass(frozen=True)
class Settings:
    """A world, its interface, and its load."""

    # The world. Fixed once a sandbox runs.
    years: tuple[int, ...] = (2024,)
    datasets: tuple[str, ...] = ("general", "research", "ownership")  # of each year; rows are made when first read
    scale: float = 0.01  # rows of a company = ceil(real rows * scale); 1.0 is 15.4 million rows for 2024
    seed: int = 7
    first_companies: int | None = None  # the N lowest payer ids with rows, year by year
    companies: tuple[str, ...] | None = None  # only these payer ids
    # Exact rows per payer id and year, in every dataset or by dataset; `scale` is not applied.
    company_rows: Mapping[str, int | Mapping[str, int]] | None = None
    extra_payers: bool | None = None  # foreign and unlisted payers; by default only in an unrestricted world
    rows_in_memory: int = 2_000_000  # some 1.5 GB; the slices read longest ago go first
    port: int = 0

    # The interface.
    dialect: Dialect = "B"  # A = DKAN 2.x, B = DKAN 3 and later: CSV, `format` and `limit` rules (facts 1)
    machine_names: bool = False  # CSV headers as `change_type` instead of `Change_Type`
    modified_format: Literal["date", "datetime"] = "date"
    modified_days: int = 0  # added to `modified` in the catalogue: edited, and no publication
    title_dash: bool = False  # an en dash in the titles of the yearly datasets
    # Titles of the catalogue by the true one: {"2023 General Payment Data": "2024 General Payment Data"}.
    retitled: Mapping[str, str] = field(default_factory=dict)
    # The summary by reporting entity; "missing": it is listed, its table answers 404.
    summary: Literal["whole", "missing", "without the year", "zero", "not listed"] = "whole"
    # Mistakes in both summaries, by payer id or hospital CCN: cents that the total of its general payments is off,
    # or None for an entity that is missing in them.
    summary_mistakes: Mapping[str, int | None] = field(default_factory=dict)
    rows_limit: int = 500  # largest `limit` outside /download
    grouped_counts: bool = True  # False: a query with groupings answers 400
    long_answers: bool = True  # False: /download breaks off with an exception row after 5,000 rows

    # The load. Zero and None switch a cost off.
    latency_seconds: float = 0.0  # of every request
    seconds_per_million_skipped: float = 0.0  # OFFSET; about 7.7 on the live site
    seconds_per_million_scanned: float = 0.0  # filters without an index; about 1.6 on the live site
    seconds_per_million_sorted: float = 0.0
    bytes_per_second: float | None = None  # all streams together; 15-39 MB/s seen
    bytes_per_second_per_stream: float | None = None  # about 2 MB/s seen
    cache_seconds: float = 0.0  # the CDN's copy of an answer; 3600 according to Cache-Control
    degraded: bool = False
    retry_after_seconds: float = 120
    retry_after_form: Literal["seconds", "date", "none"] = "seconds"

    @property
    def restricted(self) -> bool:
        """Whether the world is smaller than the real list of companies."""
        return any(chosen is not None for chosen in (self.first_companies, self.companies, self.company_rows))

    def switched(self, changes: Mapping[str, Any]) -> Settings:
        """A copy with run-time settings changed; ValueError for an unknown or a fixed one."""
        names = [item.name for item in fields(self)]
        switchable = names[names.index("dialect") :]
        if wrong := [name for name in changes if name not in switchable]:
            raise ValueError(f"not a run-time setting: {', '.join(wrong)}; there are: {', '.join(switchable)}")
        return replace(self, **changes)
