"""Untrusted text in messages: file names, answers of a server, texts from a lake."""

from __future__ import annotations


def printable(text: object, length: int = 300) -> str:
    """At most ``length`` characters in one line, without control characters."""
    flat = "".join(character if character.isprintable() else " " for character in str(text)[:length])
    return " ".join(flat.split())
