"""What all HTTP sandboxes stand on: a TLS listener that takes the platform only, and a process around it."""

import asyncio
import functools
import logging
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol, Self

import uvicorn
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tallystick import limits
from tallystick.crypto.tls import server_context
from tallystick.crypto.x509 import read_certificate
from tallystick.errors import Refused

TRANSPORT: Final = "tallystick.transport"  # scope key: the connection, for answers that break it

log = logging.getLogger("tallystick.sandbox")


class Listening(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a sandbox listens: `chain` and `key` are files for TLS, port 0 takes any free one.

    `client_ca` signs the platform's certificate, whose SAN URI is `platform_uri`.
    """

    chain: str
    key: str
    client_ca: str
    platform_uri: str
    host: str = "127.0.0.1"
    port: int = 0


class Received(Struct, frozen=True, kw_only=True):
    """One request; header names are lower-case, `target` is path and query, a body beyond the bound is cut."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class PlatformOnly(HttpToolsProtocol):
    """Close every connection whose certificate, verified in the handshake, does not name the platform."""

    def __init__(self, uri: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._uri = uri

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the identity before the first request."""
        super().connection_made(transport)
        try:
            uri = read_certificate(transport.get_extra_info("ssl_object").getpeercert(binary_form=True)).uri
        except Refused:
            uri = None
        if uri != self._uri:
            log.warning("connection closed: the certificate does not name the platform")
            transport.abort()

    def on_message_begin(self) -> None:
        """Put the connection into the scope of the request that begins."""
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[typeddict-unknown-key]


class HttpServer:
    """Serve one ASGI application to the platform."""

    def __init__(self, app: ASGIApp, listening: Listening) -> None:
        self._app = app
        self._listening = listening
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Return the bound port; RuntimeError before `start`."""
        if self._server is None:
            raise RuntimeError("the sandbox is not started")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """Count the connections that are open."""
        return len(self._state.connections)

    async def start(self) -> None:
        """Bind and accept; raises Misconfigured for unusable certificates, OSError for an address in use."""
        listening = self._listening
        served = uvicorn.Config(
            self._app,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        self._server = await asyncio.get_running_loop().create_server(
            functools.partial(PlatformOnly, listening.platform_uri, served, self._state, {}),
            listening.host,
            listening.port,
            ssl=server_context(Path(listening.chain), Path(listening.key), Path(listening.client_ca)),
        )

    async def stop(self) -> None:
        """Cut every connection."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._state.connections):
                connection.transport.abort()
            await asyncio.gather(*self._state.tasks)
            await self._server.wait_closed()


class Sandbox(Protocol):
    """What `serve` runs while its context lasts."""

    @property
    def port(self) -> int:
        """Return the bound port."""
        ...

    async def __aenter__(self) -> Self:
        """Start."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        ...


async def serve(sandbox: Sandbox) -> None:
    """Print `READY <port>` and run until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with sandbox:
        sys.stdout.write(f"READY {sandbox.port}\n")
        sys.stdout.flush()
        await stopped.wait()


async def read_request(scope: Scope, receive: Receive) -> Received | None:
    """Read one request; None when the platform went away before its end."""
    request = Request(scope, receive)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk[: limits.BODY_MAX + 1 - len(body)]
    except ClientDisconnect:
        return None
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    query = f"?{request.url.query}" if request.url.query else ""
    target = scope["raw_path"].decode("latin-1") + query
    return Received(method=request.method, target=target, headers=headers, body=bytes(body))


async def until_disconnect(receive: Receive, seconds: float | None) -> None:
    """Wait until the platform goes away, at most `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
