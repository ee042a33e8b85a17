"""Refusals, as the Status object that Kubernetes answers."""

from __future__ import annotations

from typing import Any

EXPIRED = (410, "Expired", "The provided continue parameter is too old to display a consistent list result.")


class Problem(Exception):
    """A request that is refused."""

    def __init__(self, code: int, reason: str, message: str, retry_after: int = 0) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after
        self.status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self.status |= {"message": message, "reason": reason, "code": code}


def over_quota(what: str, counted: str, used: int, limit: int) -> Problem:
    numbers = f"requested: {counted}=1, used: {counted}={used}, limited: {counted}={limit}"
    return Problem(403, "Forbidden", f"{what} is forbidden: exceeded quota: stand-in, {numbers}")
