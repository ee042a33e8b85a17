"""What may be part of a key: ids from outside are checked before a key is built of them."""

from __future__ import annotations

import re

from etl_core.errors import UsageError

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}(-[0-9]{1,3})?")  # the number is ours: runs.names
_COMPANY_ID = re.compile(r"[0-9]{1,38}")  # CMS's data dictionary: up to 38 digits


def checked_run_id(run_id: str) -> str:
    """``run_id`` if it can be part of a key."""
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(
            f"{run_id!r} is no run id: up to 100 letters, digits, '-', '_' and '.', a letter or digit first."
        )
    return run_id


def checked_company_id(company_id: str) -> str:
    """``company_id`` if it is one."""
    if not _COMPANY_ID.fullmatch(company_id):
        raise UsageError(f"{company_id!r} is no company id: digits only, such as 100000000053.")
    return company_id


def numbered(number: int) -> str:
    """What the second and later objects of one name have in their key."""
    return f".{number}" if number > 1 else ""
