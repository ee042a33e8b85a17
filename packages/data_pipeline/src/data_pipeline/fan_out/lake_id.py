"""The id of a lake. Jobs carry it, so that two lakes may share a namespace and one lake may have many addresses."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.fan_out.documents import LakeId
from etl_core.documents import read

if TYPE_CHECKING:
    from etl_core.lake import ObjectStore


def read_lake_id(store: ObjectStore) -> str | None:
    """The id of this lake; None if no fan-out has written to it.

    Raises:
        DataError: what lies there is no id.

    """
    found = read(LakeId, store, lake_layout.fan_out.LAKE_ID)
    return None if found is None else found.id


def ensure_lake_id(store: ObjectStore) -> str:
    """The id of this lake; a new one is stored if it has none. Of two writers the first one's counts for both."""
    found = read_lake_id(store)
    if found is not None:
        return found
    ours = LakeId(id=uuid.uuid4().hex[:12])
    if store.put_new(lake_layout.fan_out.LAKE_ID, ours.to_bytes()).created:
        return ours.id
    return read_lake_id(store) or ours.id
