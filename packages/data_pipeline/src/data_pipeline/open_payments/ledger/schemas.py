"""The columns of a release, as the lake keeps them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.open_payments.datasets import dataset_named
from data_pipeline.open_payments.schema import Columns, drift_from
from etl_core.errors import DataError
from etl_core.json_text import parse_json
from etl_core.lake import put_or_agree
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from data_pipeline.open_payments.ledger.documents import Release
    from etl_core.lake import ObjectStore

_log = get_logger()


def must_be_provable(release: Release, columns: Columns) -> None:
    """Raise ``DataError`` if the table lacks a column that the proof needs."""
    if columns.missing:
        raise DataError(f"the table of {release.name} lacks {', '.join(columns.missing)}, so nothing can be proved.")


def write_schema(store: ObjectStore, release: Release, columns: Columns) -> None:
    """Keep the columns of a release; say where they drifted from those known."""
    drift = drift_from(columns.dataset.header, columns.titles)
    if drift:
        _log.warning(
            "the columns are not those known",
            added=drift.added,
            removed=drift.removed,
            reordered=drift.reordered,
        )
    body = {
        "schema_version": 1,
        "release": release.model_dump(),
        "columns": [{"title": title, "name": name} for title, name in zip(columns.titles, columns.names, strict=True)],
    }
    put_or_agree(
        store,
        lake_layout.open_payments.schema(release.dataset, release.year, release.name),
        json.dumps(body, indent=1).encode() + b"\n",
    )


def read_schema(store: ObjectStore, release: Release) -> Columns:
    """The columns of a release as ``write_schema`` kept them; raises ``DataError`` if they cannot be had."""
    key = lake_layout.open_payments.schema(release.dataset, release.year, release.name)
    try:
        pairs = [(str(one["title"]), str(one["name"])) for one in parse_json(store.get(key) or b"")["columns"]]
        titles, names = (tuple(one) for one in zip(*pairs, strict=True))
        columns = Columns(dataset_named(release.dataset), titles, names)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{key} does not say which columns the release has: {error!r}.") from error
    if columns.missing:
        raise DataError(f"{key} lacks {', '.join(columns.missing)}, so nothing of the release can be read.")
    return columns
