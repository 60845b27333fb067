"""What a handler is given and gives back, and how its answer reaches the server."""

import contextlib
import ipaddress
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Final, Self

from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from tallystick.channels.model import Channel
from tallystick.crypto.signing import Verifier
from tallystick.crypto.x509 import PeerCertificate
from tallystick.errors import CertificateWrongPurpose, TooLarge
from tallystick.routing.model import BackEnd
from tallystick.security.model import Arrival, Sender

V6_PREFIX: Final = 64  # bits of an IPv6 address that name a site


class Caller(Struct, kw_only=True):
    """Who sent the request at hand: exactly one of `channel` and `back_end` is there.

    `recheck` is for who answers long after: it raises what the same sender's next request would be refused for.
    """

    arrival: Arrival
    peer: PeerCertificate
    sender: Sender
    key: Verifier
    recheck: Callable[[], Awaitable[object]]
    channel: Channel | None = None
    back_end: BackEnd | None = None

    @property
    def actor(self) -> str:
        """Name the sender as the audit chain does."""
        return f"{'channel' if self.channel is not None else 'institution'}:{self.sender.id}"


class Guest(Struct, kw_only=True):
    """Who sent a request, as far as the certificate tells: its handler verifies it by the sender's own rules."""

    arrival: Arrival
    peer: PeerCertificate

    @property
    def actor(self) -> str:
        """Name the sender as the audit chain does: as the certificate does, `institution:…`."""
        return (self.peer.uri or "nobody").removeprefix("tallystick:")


class Reply(Struct, frozen=True):
    """What a handler answers: a whole body, which is signed, or a stream of events, which TLS alone protects.

    The answer to a guest has its signature in `headers`.
    """

    status: int
    body: bytes
    stream: AsyncGenerator[bytes, None] | None = None
    headers: Mapping[str, str] = {}


class Response(Struct, frozen=True):
    """An answer as the server takes it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    stream: AsyncGenerator[bytes, None] | None = None

    @classmethod
    def of(cls, status: int, media_type: str, body: bytes, more: Mapping[str, str] = {}) -> Self:
        """Make an answer that is kept by nobody, and is not signed."""
        lines = {"content-type": media_type, "cache-control": "no-store", "content-length": str(len(body)), **more}
        return cls(status, [(name.encode(), value.encode()) for name, value in lines.items()], body)


class Endpoint:
    """An ASGI application of its own: spares Starlette's wrapping of functions, whose errors are answered here."""

    def __init__(self, respond: Callable[[Request], Awaitable[Response]]) -> None:
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._respond(Request(scope, receive))
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        if response.stream is None:
            await send({"type": "http.response.body", "body": response.body})
            return
        async with contextlib.aclosing(response.stream) as stream:
            async for chunk in stream:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


Handler = Callable[[Request, Caller], Awaitable[Reply]]
Handlers = Mapping[str, Mapping[str, Handler]]
"""Handlers by path and method."""

GuestHandlers = Mapping[str, Mapping[str, Callable[[Request, Guest], Awaitable[Reply]]]]
"""As `Handlers`, for senders who sign in a manner of their own."""


def channel_of(caller: Caller) -> Channel:
    """Return the channel that calls; raises CertificateWrongPurpose for an institution."""
    if caller.channel is None:
        raise CertificateWrongPurpose("this address is for channels, not for institutions")
    return caller.channel


def back_end_of(caller: Caller) -> BackEnd:
    """Return the institution that calls; raises CertificateWrongPurpose for a channel."""
    if caller.back_end is None:
        raise CertificateWrongPurpose("this address is for institutions, not for channels")
    return caller.back_end


def network_of(request: Request) -> str:
    """Return the network a request comes from: its IPv4 address, or the 64 bits of an IPv6 address one party holds."""
    host = request.client.host if request.client else ""
    if ":" not in host:
        return host
    try:
        return str(ipaddress.IPv6Network((host.partition("%")[0], V6_PREFIX), strict=False))
    except ValueError:
        return host


async def read_body(request: Request, size_max: int) -> bytes:
    """Read a body of at most `size_max` bytes; raises TooLarge as soon as it is passed."""
    body, more = bytearray(), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > size_max:
            raise TooLarge(f"a body has at most {size_max} bytes")
        more = message.get("more_body", False)
    return bytes(body)
