"""What goes wrong with a request, as the Status object that Kubernetes answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.cluster.resources import Resource


class Problem(Exception):
    """A request that is refused; `causes` are pairs of a field and what is wrong with it."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        resource: Resource | None = None,
        name: str = "",
        causes: Sequence[tuple[str, str]] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after
        details: dict[str, Any] = {"name": name} if name else {}
        if resource is not None:
            details |= {"group": resource.group} if resource.group else {}
            details["kind"] = resource.kind if code == 422 else resource.plural
        if causes:
            details["causes"] = [
                {"reason": "FieldValueInvalid", "message": text, "field": path} for path, text in causes
            ]
        if retry_after is not None:
            details["retryAfterSeconds"] = retry_after
        self.status = status_object("Failure", message=message, reason=reason, details=details, code=code)


def status_object(status: str, **more: Any) -> dict[str, Any]:
    """A Status without its empty members."""
    told = {key: value for key, value in more.items() if value}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": status, **told}


def not_found(resource: Resource, name: str) -> Problem:
    return Problem(404, "NotFound", f'{resource.title} "{name}" not found', resource=resource, name=name)


def already_exists(resource: Resource, name: str, *, deleting: bool) -> Problem:
    text = f'{"object is being deleted: " if deleting else ""}{resource.title} "{name}" already exists'
    return Problem(409, "AlreadyExists", text, resource=resource, name=name)


def conflict(resource: Resource, name: str, why: str) -> Problem:
    text = f'Operation cannot be fulfilled on {resource.title} "{name}": {why}'
    return Problem(409, "Conflict", text, resource=resource, name=name)


def forbidden(resource: Resource, name: str, why: str) -> Problem:
    what = f'{resource.title} "{name}"' if name else resource.title
    return Problem(403, "Forbidden", f"{what} is forbidden: {why}", resource=resource, name=name)


def invalid(resource: Resource, name: str, causes: Sequence[tuple[str, str]]) -> Problem:
    """422 with everything that is wrong, as the API server collects it."""
    found = [f"{path}: {text}" for path, text in causes]
    listed = found[0] if len(found) == 1 else f"[{', '.join(found)}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    return Problem(422, "Invalid", f'{kind} "{name}" is invalid: {listed}', resource=resource, name=name, causes=causes)


def bad_request(message: str) -> Problem:
    return Problem(400, "BadRequest", message)


def expired(
    message: str = "The provided continue parameter is too old to display a consistent list result.",
) -> Problem:
    return Problem(410, "Expired", message)


def not_supported(what: str) -> Problem:
    return Problem(405, "MethodNotAllowed", f"{what}: not in this stand-in, which is not Kubernetes")
