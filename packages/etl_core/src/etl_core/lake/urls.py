"""A URL to a store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from etl_core.errors import ConfigError
from etl_core.printable import without_password

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from etl_core.lake.port import ObjectStore


def open_store(url: str, *, named: str = "the URL") -> ObjectStore:
    """The store for a path, ``file:///…`` or ``s3://bucket/prefix``. boto3 is imported for S3 only.

    Raises:
        ConfigError: the URL is none of these. The message calls it ``named``: the setting or flag it came from.

    """
    shown = without_password(url)
    # ``s3:/bucket`` would be a folder of that name.
    if "://" not in url and not re.match("(s3|file):", url):
        if not url.strip():
            raise ConfigError(f"{named} is empty.", advice="Give a folder, file:///… or s3://bucket/prefix.")
        try:
            return _directory(Path(url).expanduser(), named)
        except RuntimeError as error:  # of a user who has no home, or of nobody
            raise ConfigError(f"{named}={url!r} is in no home known here.", advice="Give the whole path.") from error
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise ConfigError(
                f"{named}={shown!r} names a host.", advice="A folder is written file:///path (three slashes)."
            )
        return _directory(Path(unquote(parts.path)), named)
    if parts.scheme == "s3":
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc):
            raise ConfigError(f"{named}={shown!r} names no bucket.", advice="An S3 lake is written s3://bucket/prefix.")
        from etl_core.lake.s3 import S3Store, make_client

        return S3Store(make_client(), bucket=parts.netloc, prefix=parts.path.strip("/"))
    raise ConfigError(
        f"{named}={shown!r} has an unknown scheme.",
        advice="Give a folder, file:///… or s3://bucket/prefix.",
    )


def batch_lines(url: str, keys: Iterable[str]) -> Iterator[str]:
    """Objects of a store in S3 as S3 Batch Operations list them: bucket and encoded key, without a header."""
    place = urlsplit(url)
    prefix = f"{place.path.strip('/')}/".lstrip("/")
    return (f"{place.netloc},{quote(prefix + key)}\n" for key in keys)


def overlap(one: ObjectStore, other: ObjectStore) -> bool:
    """Whether two stores are one, or one lies within the other, whatever addresses they were opened with.

    Of folders the system is asked, so a link, a mount or another spelling hides nothing.
    """
    from etl_core.lake.directory import DirectoryStore

    if isinstance(one, DirectoryStore) and isinstance(other, DirectoryStore):
        roots = one.root.resolve(), other.root.resolve()
        return any(_is_within(inner, outer) for inner, outer in (roots, roots[::-1]))
    urls = f"{one.url}/", f"{other.url}/"
    return any(inner.startswith(outer) for inner, outer in (urls, urls[::-1]))


def _is_within(inner: Path, outer: Path) -> bool:
    if inner.is_relative_to(outer):
        return True
    return outer.exists() and any(path.exists() and path.samefile(outer) for path in (inner, *inner.parents))


def _directory(root: Path, named: str) -> ObjectStore:
    from etl_core.lake.directory import DirectoryStore

    if root.exists() and not root.is_dir():
        raise ConfigError(f"{named}={str(root)!r} is a file.", advice="Give a folder, file:///… or s3://bucket/prefix.")
    return DirectoryStore(root)
