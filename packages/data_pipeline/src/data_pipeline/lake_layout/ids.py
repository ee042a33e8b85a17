"""What may be part of a key: ids from outside are checked, or encoded, before a key is built of them.

A payer id that is no number (``-1``, an empty one, one with a trailing space) stands in keys, and wherever else
it must be plain, as ``x`` and the hexadecimal digits of its UTF-8 bytes: ``x2d31``, ``x``. Everywhere else it is
written as the source has it.
"""

from __future__ import annotations

import re

from etl_core.errors import UsageError

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}(-[0-9]{1,3})?")  # the number is ours: runs.names
_NUMBER = re.compile(r"[0-9]{1,38}")  # CMS's data dictionary: up to 38 digits
_ENCODED = re.compile(r"x((?:[0-9a-f]{2})*)")
ENCODED_COMPANY = f"{_NUMBER.pattern}|x[0-9a-f]*"
# A file's name has up to 255 bytes: "company_id=x" and two digits a byte.
LONGEST_COMPANY_ID = 100


def is_run_id(text: str) -> bool:
    """Whether a run can have this name; a lake may hold stray files and folders of other names."""
    return _RUN_ID.fullmatch(text) is not None


def checked_run_id(run_id: str) -> str:
    """``run_id`` if it can be part of a key."""
    if not is_run_id(run_id):
        raise UsageError(
            f"{run_id!r} is no run id: up to 100 letters, digits, '-', '_' and '.', a letter or digit first."
        )
    return run_id


def is_number(company_id: str) -> bool:
    """Whether a payer id is as CMS documents them, and stands in keys as it is."""
    return _NUMBER.fullmatch(company_id) is not None


def in_order(company_id: str) -> tuple[int, str]:
    """What payer ids are sorted by: as the numbers that most of them are."""
    return len(company_id), company_id


def encoded_company(company_id: str) -> str:
    """A payer id as it stands in keys; raises ``UsageError`` for one that is too long or no text."""
    if is_number(company_id):
        return company_id
    try:
        raw = company_id.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold
        raw = b""
    if len(raw) > LONGEST_COMPANY_ID or (company_id and not raw):
        raise UsageError(f"{company_id[:40]!a} is no company id: text of up to {LONGEST_COMPANY_ID} bytes.")
    return f"x{raw.hex()}"


def can_be_encoded(company_id: str) -> bool:
    """Whether a payer id can be part of keys."""
    try:
        encoded_company(company_id)
    except UsageError:
        return False
    return True


def decoded_company(text: str) -> str | None:
    """The payer id that stands in a key as ``text``; None if none does."""
    match = _ENCODED.fullmatch(text)
    try:
        company_id = text if match is None else bytes.fromhex(match[1]).decode()
        return company_id if encoded_company(company_id) == text else None
    except (UnicodeDecodeError, UsageError):
        return None


def shown_company(company_id: str) -> str:
    """A payer id in a message: one that is no number in quotes, with the form that it has in keys."""
    if is_number(company_id):
        return company_id
    in_keys = f" ({encoded_company(company_id)} in keys)" if can_be_encoded(company_id) else ""
    return f"{company_id[:LONGEST_COMPANY_ID]!a}{in_keys}"


def numbered(number: int) -> str:
    """What the second and later objects of one name have in their key."""
    return f".{number}" if number > 1 else ""
