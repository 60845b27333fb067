"""The listeners of one process: opened by name, and closed together when it drains."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from tallystick import limits
from tallystick.service.server import Listener

ARRIVAL_S: Final = 0.05  # s from accepting a connection to the end of its handshake, from which on it is counted
LINGER_S: Final = 1.0  # s a connection may use to come with one more request, which ends it in good order


class Doors:
    """Open listeners, on sockets that were handed to this process where there are any, else on sockets of their own.

    `connections_max` and `requests_max` are bounds of each listener.
    """

    def __init__(
        self,
        handed: Mapping[str, socket.socket],
        *,
        connections_max: int = limits.CONNECTIONS_MAX,
        requests_max: int = limits.REQUESTS_MAX,
        linger_s: float = LINGER_S,
    ) -> None:
        self._handed = dict(handed)
        self._bounds = {"connections_max": connections_max, "requests_max": requests_max}
        self._linger_s = linger_s
        self._open: list[Listener] = []
        self._at_shut: list[Callable[[], object]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self, name: str, app: Any, *, host: str, port: int, context: ssl.SSLContext | None) -> Listener:
        """Serve an application under a name; raises Misconfigured when the address cannot be bound."""
        listener = Listener(
            app, host=host, port=port, context=context, bound=self._handed.pop(name, None), **self._bounds
        )
        await listener.start()
        self._open.append(listener)
        return listener

    def at_shut(self, close: Callable[[], object]) -> None:
        """Call something once no more is accepted: what ends requests that would last, like streams."""
        self._at_shut.append(close)

    def load(self) -> float:
        """Return how full the fullest listener is, 1 at its bound."""
        return max((listener.load() for listener in self._open), default=0.0)

    def usher(self) -> None:
        """Let each answer from now on be the last of its connection: who has more to ask connects anew, elsewhere."""
        for listener in self._open:
            listener.usher()

    def shut(self) -> None:
        """Accept no new connection from now on; those that wait in a shared queue are another process's."""
        self.usher()
        for listener in self._open:
            listener.shut()
        while self._at_shut:
            self._at_shut.pop()()

    async def close(self) -> None:
        """Shut, let connections end in good order, close the idle ones, and let requests in flight finish.

        1. A busy connection ends with an answer that says so, also one that was accepted a moment ago. A request on a
           connection that is closed under it is the one thing that HTTP/1.1 cannot tell apart from a loss, and the
           sender has to repeat it.
        2. What is idle after `linger_s` is closed; what is in flight has `server.STOP_GRACE_S`.
        """
        # 1.
        self.shut()
        await asyncio.sleep(ARRIVAL_S)
        if any(listener.connections for listener in self._open):
            await asyncio.sleep(self._linger_s)
        # 2.
        await asyncio.gather(*(listener.stop() for listener in self._open))
        self._open.clear()
