"""The lake: an object store behind one small port, on a directory or on S3."""

from etl_core.lake.port import (
    Body,
    ObjectInfo,
    ObjectStore,
    PutResult,
    content_of,
    put_new_numbered,
    put_or_agree,
    scratch_folder,
)  # fmt: skip
from etl_core.lake.urls import open_store, overlap

__all__ = [
    "Body", "ObjectInfo", "ObjectStore", "PutResult", "content_of", "open_store", "overlap", "put_new_numbered",
    "put_or_agree", "scratch_folder",
]  # fmt: skip
