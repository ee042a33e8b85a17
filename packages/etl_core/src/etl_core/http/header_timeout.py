"""A limit on the time in which the whole status line and headers of an answer must come.

A socket's timeout is for each packet: a server that sends a byte of a header every few seconds would be waited for
without end.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

from etl_core.http.interim import FinalResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import HTTPConnectionPool, PoolManager, ProxyManager
    from urllib3.response import HTTPResponse


class HeaderTimeoutAdapter(HTTPAdapter):
    """The read timeout of a request is also the time for all headers of its answer, from the end of the request."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as in the base class
        super().init_poolmanager(*args, **options)
        _limit_headers(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> ProxyManager:  # noqa: ANN401 - as in the base class
        manager: ProxyManager = super().proxy_manager_for(*args, **options)
        _limit_headers(manager)
        return manager


class _HeaderTimeout:
    """Mixed into a connection of urllib3."""

    sock: socket.socket
    timeout: float

    def getresponse(self) -> HTTPResponse:
        with contextlib.ExitStack() as undo:
            with _broken_after(self.timeout, self.sock):
                response: HTTPResponse = super().getresponse()  # type: ignore[misc] # of the connection
                undo.callback(response.close)  # headers that were broken off may look whole
            undo.pop_all()
        return response


def _limit_headers(manager: PoolManager) -> None:
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _with_header_timeout(pool) for scheme, pool in pools.items()}


def _with_header_timeout(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    if _HeaderTimeout in pool.ConnectionCls.__mro__:  # a proxy's manager is handed out again
        return pool
    own = {"response_class": FinalResponse}
    connection = type(pool.ConnectionCls.__name__, (_HeaderTimeout, pool.ConnectionCls), own)
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


@contextlib.contextmanager
def _broken_after(seconds: float, sock: socket.socket) -> Iterator[None]:
    """Break the connection unless the block ends in time; raises ``TimeoutError`` in place of what that causes."""
    is_late = threading.Event()

    def break_connection() -> None:
        is_late.set()
        # A copy, because a socket wrapped in TLS twice has no shutdown.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, break_connection)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if is_late.is_set():
            raise TimeoutError(f"the headers did not end within {seconds:g} s")
