"""Untrusted text in messages and on a terminal: file names, answers of a server, texts from a lake, addresses."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def printable(text: object, length: int = 300) -> str:
    """At most ``length`` characters in one line, without control characters; for messages."""
    flat = "".join(character if character.isprintable() else " " for character in str(text)[:length])
    return " ".join(flat.split())


def escaped(text: str, *, keep: str = "") -> str:
    r"""The text with control characters as ``\x1b`` or ``\u202e``, so that a terminal shows and does not obey them.

    Those in ``keep`` stay. Nothing is left out: a person can tell one file name from another.
    """
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape").decode("ascii") for one in text
    )


def dotted(text: str) -> str:
    """The text with a dot for each control character: as many characters as before."""
    return "".join(one if one.isprintable() else "·" for one in text)


def without_password(text: object) -> str:
    """Text in whose URLs the user name and the password are left out: ``https://…@host/path``."""
    # Up to the last @ of the word: a password may hold slashes and @ that nobody has encoded.
    return re.sub(r"//[^\s'\"]*@", "//…@", str(text))


def has_password(url: str) -> bool:
    """Whether a URL holds a user name or a password."""
    try:
        return "@" in urlsplit(url).netloc
    except ValueError:  # of [ and ] that enclose no address
        return "@" in url
