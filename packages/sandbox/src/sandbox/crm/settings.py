"""Every setting of the CRM."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CrmSettings:
    """A world of customers, and how its API tells of them."""

    customers: int = 1000
    seed: int = 7
    # Pages are cut from places of which so many are free: nearly all pages are short, and some are empty.
    free_places: float = 0.2
    empty_pages: tuple[int, ...] = ()  # at 100 places a page, all of these are free
    # Shares of records with one odd field, which is never the id.
    missing_fields: float = 0.05
    null_fields: float = 0.03
    wrong_types: float = 0.02
    extra_fields: float = 0.02
    missing_ids: float = 0.0
    token: str = "sandbox-token"  # noqa: S105 - of a stand-in
    largest_page: int = 1000  # a larger per_page is lowered without a word
    states_total: bool = True
    states_pages: bool = True
    latency_seconds: float = 0.0
    port: int = 0
