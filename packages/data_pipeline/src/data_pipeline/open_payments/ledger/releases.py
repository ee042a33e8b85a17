"""Releases by the name that the lake gave them first, whatever date the source gives them later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger.documents import NamedRelease
from etl_core.documents import read

if TYPE_CHECKING:
    from data_pipeline.open_payments.ledger.documents import Release
    from etl_core.lake import ObjectStore


def key_of(release: Release) -> str:
    """Where the name of a release is kept."""
    return lake_layout.open_payments.named_release(release.dataset, release.year, release.distribution_id)


def as_named(store: ObjectStore, release: Release) -> Release:
    """The release as the lake named it; as it is if the lake does not know it yet."""
    named = read(NamedRelease, store, key_of(release))
    return release if named is None else named.release


def name(store: ObjectStore, release: Release) -> Release:
    """Name a release, once: of two processes that call it differently both get what the first one wrote."""
    if store.put_new(key_of(release), NamedRelease(release=release).to_bytes()).created:
        return release
    return as_named(store, release)
