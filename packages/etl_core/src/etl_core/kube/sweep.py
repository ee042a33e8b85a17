"""Delete every Job and pod of a selector, and make sure that none is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl_core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl_core.kube.client import Cluster

POLLS, POLL_SECONDS = 120, 1.0


def sweep(cluster: Cluster, selector: str, sleep: Callable[[float], None]) -> int:
    """Delete Jobs, then pods, until two polls in a row find neither: a pod may appear after its Job was listed.

    Returns:
        How many Jobs there were.

    Raises:
        UnavailableError: some are still there after two minutes.

    """
    deleted = empty_polls = 0
    for _ in range(POLLS):
        jobs, pods = len(list(cluster.jobs(selector))), len(list(cluster.pods(selector)))
        deleted = max(deleted, jobs)
        empty_polls = 0 if jobs or pods else empty_polls + 1
        if empty_polls == 2:
            return deleted
        if jobs:
            cluster.delete_jobs(selector)
        elif pods:
            cluster.delete_pods(selector)
        sleep(POLL_SECONDS)
    raise UnavailableError("Jobs or pods are still there after two minutes of deleting.", advice="Run it again.")
