"""The lake: an object store behind one small port, on a directory or on S3."""

from etl_core.lake.copying import Comparison, compared, copy_new
from etl_core.lake.parallel import in_parallel
from etl_core.lake.port import (
    Body,
    ObjectInfo,
    ObjectStore,
    PutResult,
    content_of,
    key_below,
    put_new_numbered,
    put_or_agree,
    scratch_folder,
)
from etl_core.lake.urls import open_store, overlap

__all__ = [
    "Body", "Comparison", "CopyResult", "ObjectInfo", "ObjectStore", "PutResult", "compared", "content_of", "copy_new",
    "in_parallel", "key_below", "open_store", "overlap", "put_new_numbered", "put_or_agree", "scratch_folder",
]  # fmt: skip
