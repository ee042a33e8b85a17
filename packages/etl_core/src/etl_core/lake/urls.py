"""``LAKE_URL`` to a store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from etl_core.errors import ConfigError

if TYPE_CHECKING:
    from etl_core.lake.port import ObjectStore


def open_store(url: str) -> ObjectStore:
    """The store for a path, ``file:///…`` or ``s3://bucket/prefix``. boto3 is imported for S3 only."""
    if "://" not in url:
        if not url.strip():
            raise ConfigError("LAKE_URL is empty.", advice="Give a folder, file:///… or s3://bucket/prefix.")
        return _directory(Path(url).expanduser())
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise ConfigError(f"{url!r} names a host.", advice="A folder is written file:///path (three slashes).")
        return _directory(Path(unquote(parts.path)))
    if parts.scheme == "s3":
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc):
            raise ConfigError(f"{url!r} names no bucket.", advice="An S3 lake is written s3://bucket/prefix.")
        from etl_core.lake.s3 import S3Store, make_client

        return S3Store(make_client(), bucket=parts.netloc, prefix=parts.path.strip("/"))
    raise ConfigError(
        f"{url!r}: a lake of kind {parts.scheme!r} is not known.",
        advice="Give a folder, file:///… or s3://bucket/prefix.",
    )


def _directory(root: Path) -> ObjectStore:
    from etl_core.lake.directory import DirectoryStore

    if root.exists() and not root.is_dir():
        raise ConfigError(f"the lake {root} is a file.", advice="LAKE_URL must name a folder.")
    return DirectoryStore(root)
