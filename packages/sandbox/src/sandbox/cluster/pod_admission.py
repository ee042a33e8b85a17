"""Why a pod of a Job is refused: by a webhook, a LimitRange, a quota; in the words of Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.cluster.quantities import size
from sandbox.cluster.settings import ClusterSettings

WEBHOOK = 'admission webhook "policy.stand-in" denied the request: {}'


def refusals(name: str, container: Mapping[str, Any], settings: ClusterSettings) -> Iterator[str]:
    """Everything that is said against a pod with this container."""
    resources, forbidden = container.get("resources") or {}, f'pods "{name}" is forbidden: '
    asked, limits = resources.get("requests") or {}, resources.get("limits") or {}
    if text := settings.denies.get("pods"):
        yield WEBHOOK.format(text)
    for what, least in settings.minimum.items():
        if what in asked and size(asked[what]) < size(least):
            yield f"{forbidden}minimum {what} usage per Container is {least}, but request is {asked[what]}"
    for what, most in settings.maximum.items():
        if what in limits and size(limits[what]) > size(most):
            yield f"{forbidden}maximum {what} usage per Container is {most}, but limit is {limits[what]}"
        elif what in asked and size(asked[what]) > size(most):  # the maximum is the limit of a container without one
            where = "spec.containers[0].resources.requests"
            why = f"must be less than or equal to {what} limit of {most}"
            yield f'Pod "{name}" is invalid: {where}: Invalid value: "{asked[what]}": {why}'
    for limit in settings.must_specify:
        member, _, what = limit.partition(".")
        if what not in (resources.get(member) or {}):
            yield f"{forbidden}failed quota: stand-in: must specify {limit} for: {container['name']}"
