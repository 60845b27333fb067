"""The listener: uvicorn's HTTP/1.1 server, plus the peer's certificate in the scope and bounds on what a peer may hold.

No ASGI server measured hands the client certificate to the application (docs/decisions/0002-asgi-server.md), so a small
subclass of uvicorn's httptools protocol does: parsed once per connection, found in every request under `scope[PEER]`.
"""

import asyncio
import functools
import logging
import socket
import ssl
from dataclasses import dataclass
from typing import Any, Final, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tallystick import limits
from tallystick.crypto.x509 import PeerCertificate, read_certificate
from tallystick.errors import Refused, Unavailable
from tallystick.runtime import SystemRandomness
from tallystick.service import problems, sockets
from tallystick.service.handling import Endpoint, Response

PEER: Final = "tallystick.peer"  # scope key: PeerCertificate, or None on a connection without client certificate
HEAD_MAX: Final = 32 * 1024  # bytes a request head may take beyond the chunk that began it
READ_TIMEOUT_S: Final = 10.0  # s from a request's first byte to its last, and from connection to the first request
KEEP_ALIVE_S: Final = 75  # s an idle connection is kept
HANDSHAKE_TIMEOUT_S: Final = 10.0  # s for the whole TLS handshake
GOODBYE_TIMEOUT_S: Final = 2.0  # s a peer may take to answer the TLS close
STOP_GRACE_S: Final = 20  # s requests in flight may take to finish after `stop`

log = logging.getLogger("tallystick.server")


@dataclass(slots=True)
class Bounds:
    """What all connections of a listener share: its bounds, and whether each answer is its connection's last."""

    connections_max: int
    requests_max: int
    ushering: bool = False


class PeerProtocol(HttpToolsProtocol):
    """One connection: give its certificate to each request, and end it when a request is too slow or its head too big.

    uvicorn itself bounds neither the time nor the size of an unfinished head, so a peer could hold both (I13). Its own
    bound counts connections and requests as one, and refuses everybody once so many connections are open, busy or not:
    here a connection too many is refused and leaves the others alone.
    """

    def __init__(self, bounds: Bounds, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._bounds = bounds
        self._surplus = False
        self._served = self.app

    peer: PeerCertificate | None = None
    _in_head = False
    _unfinished = True
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the certificate that the handshake verified; close when it cannot be one of ours."""
        super().connection_made(transport)
        self._surplus = len(self.connections) > self._bounds.connections_max
        self._deadline = self.loop.call_later(READ_TIMEOUT_S, transport.abort)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if certificate is None:
            return
        try:
            self.peer = read_certificate(certificate)
        except Refused as refusal:
            log.warning("connection closed: %s", refusal.detail)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        super().connection_lost(exc)
        self._disarm()

    def data_received(self, data: bytes) -> None:
        """Parse, then see whether a request is left unfinished: only then does it cost a timer."""
        continued = self._in_head
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if continued and self._in_head else 0
        if self._head_bytes > HEAD_MAX:
            self.send_400_response("Request head too large.")
        elif not self._unfinished:
            self._disarm()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(READ_TIMEOUT_S, self.transport.abort)

    def on_message_begin(self) -> None:
        """Put the peer into the scope of the request that begins."""
        super().on_message_begin()
        self.scope[PEER] = self.peer  # type: ignore[typeddict-unknown-key]
        self._in_head = self._unfinished = True

    def on_headers_complete(self) -> None:
        """Note the end of the head; refuse the request when the listener is full, before its body is read."""
        self._in_head = False
        self.app = _FULL if self._surplus or len(self.tasks) >= self._bounds.requests_max else self._served
        super().on_headers_complete()
        if self._surplus or self._bounds.ushering:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Note the end of the request."""
        self._unfinished = False
        super().on_message_complete()

    def usher(self) -> None:
        """Let the answer under way, if any, be the connection's last."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def _refuse(_: object) -> Response:
    """Answer a request that there is no room for."""
    refusal = Unavailable("too many requests are under way")
    document = problems.failure(refusal, SystemRandomness())
    return Response.of(document.status, problems.MEDIA_TYPE, problems.encode(document), problems.retry_after(refusal))


_FULL: Final = Endpoint(_refuse)


class Listener:
    """Serve one ASGI application on one address; several listeners share a process and its event loop.

    The application's lifespan, signals and logging belong to `bootstrap`, not to a listener. No proxy header is
    believed: who the peer is comes from its socket and certificate. `context` None serves plain HTTP: on the
    loopback address only, or for what is public and signed in itself. `bound` is a socket that listens already and
    that other processes may share; it belongs to the listener from now on.
    """

    def __init__(
        self,
        app: Any,
        *,
        context: ssl.SSLContext | None,
        host: str = "",
        port: int = 0,
        bound: socket.socket | None = None,
        connections_max: int = limits.CONNECTIONS_MAX,
        requests_max: int = limits.REQUESTS_MAX,
        stop_grace_s: int = STOP_GRACE_S,
    ) -> None:
        config = uvicorn.Config(
            app,
            interface="asgi3",
            http=PeerProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=stop_grace_s,
            ssl_context_factory=None if context is None else lambda *_: context,
        )
        config.load()
        self._address = host, port
        self._bound = bound
        self._bounds = Bounds(connections_max, requests_max)
        self._context = context
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._ticks: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """Return the bound port: the one asked for, or the one the system chose for 0."""
        return sockets.port_of(self._server.servers[0].sockets[0])

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._server.server_state.connections)

    def load(self) -> float:
        """Return how full the listener is, 1 at the bound it is nearest to."""
        state, bounds = self._server.server_state, self._bounds
        return max(len(state.connections) / bounds.connections_max, len(state.tasks) / bounds.requests_max)

    async def start(self) -> None:
        """Bind and accept; Misconfigured when the address cannot be bound.

        Takes the place of `uvicorn.Server.startup`, which ends the process on an error and sets no handshake timeout.
        """
        server = self._server
        protocol = functools.partial(PeerProtocol, self._bounds, server.config, server.server_state, {})
        secured = self._context is not None
        bound = self._bound or sockets.bind(*self._address)
        accepting = await asyncio.get_running_loop().create_server(
            protocol,
            sock=bound,
            ssl=self._context,
            backlog=sockets.BACKLOG,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S if secured else None,
            ssl_shutdown_timeout=GOODBYE_TIMEOUT_S if secured else None,
        )
        server.servers = [accepting]
        server.started = True
        await server.on_tick(0)  # sets the Date header before the first answer
        self._ticks = asyncio.create_task(server.main_loop())

    def usher(self) -> None:
        """Let each answer from now on be the last of its connection (RFC 9112 section 9.6)."""
        self._bounds.ushering = True
        for connection in self._server.server_state.connections:
            if isinstance(connection, PeerProtocol):
                connection.usher()

    def shut(self) -> None:
        """Accept no more connections; those that are open go on."""
        for accepting in self._server.servers:
            accepting.close()

    async def stop(self) -> None:
        """Accept no more, let requests in flight finish within the grace, then cut what is left. Twice does no harm."""
        if self._ticks is None:
            return
        self._server.should_exit = True
        await self._ticks
        self._ticks = None
        await self._server.shutdown()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
