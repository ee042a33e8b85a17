"""Many small requests to a lake at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

R = TypeVar("R")
# They wait for the lake's answers, not for the processor; an S3 client has as many connections.
REQUESTS = 16


def in_parallel(request: Callable[..., R], *items: Iterable[Any]) -> list[R]:
    """What ``request`` gives for each of the items, in their order; raises what the first of them raises."""
    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(request, *items))
