"""What a handler of the gateway is given and gives back."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from msgspec import Struct
from starlette.requests import Request

from tallystick.channels.model import Channel
from tallystick.crypto.signing import Verifier
from tallystick.crypto.x509 import PeerCertificate
from tallystick.errors import CertificateWrongPurpose
from tallystick.routing.model import BackEnd
from tallystick.security.model import Arrival, Sender


class Caller(Struct, kw_only=True):
    """Who sent the request at hand: exactly one of `channel` and `back_end` is there."""

    arrival: Arrival
    peer: PeerCertificate
    sender: Sender
    key: Verifier
    channel: Channel | None = None
    back_end: BackEnd | None = None


class Guest(Struct, kw_only=True):
    """Who sent a request, as far as the certificate tells: its handler verifies it by the sender's own rules."""

    arrival: Arrival
    peer: PeerCertificate


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
