"""Objects copied from one store to another under another key, create-only.

Between two places of S3 the server copies, and no byte passes this machine; anything else is read and written here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from etl_core.errors import ChangedError, NotFoundError
from etl_core.files import translate_os_errors
from etl_core.lake.port import CopyResult

if TYPE_CHECKING:
    from etl_core.lake.port import ObjectInfo, ObjectStore

Comparison = Literal["other", "size", "content"]


def copy_new(source: ObjectStore, found: ObjectInfo, target: ObjectStore, key: str) -> CopyResult:
    """Create ``key`` in ``target`` as a copy of what was ``found`` in ``source``, or say what is there.

    Raises:
        ChangedError: the source is another object by now. NotFoundError: it is gone.
        AccessError: it may not be read, or the copy not be written. UnavailableError.

    """
    if source.url.startswith("s3://") and target.url.startswith("s3://"):
        from etl_core.lake.s3 import S3Store

        if isinstance(source, S3Store) and isinstance(target, S3Store):
            return target.copy_new(source, found, key)
    return _copied_here(source, found, target, key)


def _copied_here(source: ObjectStore, found: ObjectInfo, target: ObjectStore, key: str) -> CopyResult:
    path, digest, size = target.scratch_file(), hashlib.sha256(), 0
    try:
        with translate_os_errors(f"write {path}"), path.open("wb") as stream:
            for chunk in source.read(found.key):
                size += stream.write(chunk)
                digest.update(chunk)
        if size != found.size or source.head(found.key) != found:
            raise ChangedError(f"{source.url}/{found.key} changed while it was copied.")
        put = target.put_new(key, path, sha256=digest.hexdigest())
    finally:
        path.unlink(missing_ok=True)
    copy = target.head(key)
    if copy is None:
        raise NotFoundError(f"{target.url}/{key} was there and is gone.")
    return CopyResult(
        put.created,
        replace(found, digest=f"sha256:{digest.hexdigest()}"),
        replace(copy, digest=f"sha256:{put.sha256}"),
    )


def compared(one: ObjectInfo, other: ObjectInfo) -> Comparison:
    """Whether two objects have the same ``content``, or as far as is known the same ``size``, or are not the same.

    The ETag of an object of several parts, or one encrypted with a key of KMS, is no hash of its content. Two that are
    equal and of one part are the MD5 of both; two that differ may say nothing.
    """
    if one.size != other.size:
        return "other"
    algorithm, _, value = one.digest.partition(":")
    other_algorithm, _, other_value = other.digest.partition(":")
    if algorithm and algorithm == other_algorithm:
        return "content" if value == other_value else "other"
    is_md5 = re.fullmatch(r'"?[0-9a-f]{32}"?', one.etag) is not None
    return "content" if is_md5 and one.etag == other.etag else "size"
