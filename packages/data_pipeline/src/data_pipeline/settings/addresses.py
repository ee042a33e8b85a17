"""Addresses as settings."""

from __future__ import annotations

from etl_core.printable import has_password


def without_credentials(url: str) -> str:
    """The address, if it holds no user name or password: addresses are stored in the lake."""
    if has_password(url):
        raise ValueError("a user name or password here would be stored in the lake, and the source needs none")
    return url
