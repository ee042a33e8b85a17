"""Whether a namespace's quotas have room for one more Job and its pod. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl_core.kube.quantity import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl_core.kube.describe import PodOptions


def needs_of(pod: PodOptions) -> dict[str, str]:
    """What one more Job and its pod take, by the names of a quota."""
    counted = dict.fromkeys(("count/jobs.batch", "count/pods", "pods"), "1")
    cpu, memory = dict.fromkeys(("cpu", "requests.cpu"), pod.cpu), ("memory", "requests.memory", "limits.memory")
    return counted | cpu | dict.fromkeys(memory, pod.memory)


def room(quotas: Iterable[Mapping[str, Any]], needs: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What the quotas limit and have room for, and what they have no room for, each as "pods: 3 of 110 used".

    Raises:
        DataError: a quantity cannot be read.

    """
    enough: list[str] = []
    full: list[str] = []
    for quota in quotas:
        status = quota.get("status", {})
        hard = status.get("hard") or quota.get("spec", {}).get("hard", {})  # a new quota has not been counted yet
        for name in sorted(hard.keys() & needs.keys()):
            used = status.get("used", {}).get(name, "0")
            left = parse_quantity(hard[name]) - parse_quantity(used)
            fits = left >= parse_quantity(needs[name])
            (enough if fits else full).append(f"{name}: {used} of {hard[name]} used, {needs[name]} more needed")
    return enough, full
