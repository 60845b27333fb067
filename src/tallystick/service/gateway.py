"""The gateway API: what channels and institutions send over mutual TLS (claims 12, 13, 32 to 34).

Who the peer is comes from its certificate; what it says is believed once its signature holds. Every answer to a known
sender is signed: under the sender's own MAC key, or by the platform's identity key.
"""

import functools
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.routing import Route, Router

from tallystick import orders, overview
from tallystick.audit.acting import acting
from tallystick.channels.admit import Standing
from tallystick.channels.model import LimitKind
from tallystick.crypto import httpsig
from tallystick.crypto.signing import HmacKey, HmacOverlap, Signer
from tallystick.crypto.x509 import PeerCertificate
from tallystick.errors import (
    CertificateMissing,
    MethodRefused,
    NotFound,
    Refused,
    TallystickError,
)
from tallystick.path import Platform, accept
from tallystick.security.verify import verify
from tallystick.service import problems
from tallystick.service.arrivals import arrival_of
from tallystick.service.background import Carriers
from tallystick.service.handling import (
    Caller,
    Endpoint,
    Guest,
    GuestHandlers,
    Handler,
    Handlers,
    Reply,
    Response,
    back_end_of,
    channel_of,
    network_of,
)
from tallystick.service.senders import Institutions, KnownSender, Senders
from tallystick.service.server import PEER

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
OK: Final = "ok"
METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_NONCE: Final = re.compile(r';nonce="([A-Za-z0-9_-]{1,64})"')


class Gateway:
    """The application behind the gateway listener."""

    def __init__(
        self,
        platform: Platform,
        *,
        standing: Standing,
        institutions: Institutions,
        identity: Signer,
        carriers: Carriers,
        more: Handlers | None = None,
        guests: GuestHandlers | None = None,
    ) -> None:
        self._platform = platform
        self._standing = standing
        self._identity = identity
        self._carriers = carriers
        self._more = more or {}
        self._guests = guests or {}
        self.answers: Counter[tuple[str, ...]] = Counter()
        """How many answers an address (its pattern, without ids) gave by problem code, `ok` without one."""
        self._senders = Senders(platform.store, institutions, platform.keyring)

    def app(self) -> Router:
        """Return the ASGI application; addresses are compared in this order, the busiest one first."""
        routes: Handlers = {
            "/v1/parts": {"POST": self._post_part},
            "/v1/parts/{id}": {"GET": self._get_part},
            "/v1/payments": {"POST": self._post_payment},
            "/v1/payments/{id}": {"GET": self._get_payment},
            "/v1/payments/{id}/cancel": {"POST": self._cancel},
            "/v1/pin-tokens": {"POST": self._give_pin_token},
            "/v1/choices": {"POST": self._choose},
            "/v1/numbers": {"POST": self._set_number},
            "/v1/values": {"POST": self._issue_value},
            **self._more,
        }
        published = Route("/.well-known/tallystick-keys", Endpoint(self._published), methods=["GET"])
        guests = [self._guest_route(path, by_method) for path, by_method in self._guests.items()]
        known = [self._route(path, handlers) for path, handlers in routes.items()]
        return Router([*known, published, *guests, self._route("/{unknown:path}", {})])

    def _route(self, path: str, handlers: Mapping[str, Handler]) -> Route:
        async def respond(request: Request) -> Response:
            handler = handlers.get(request.method, _nowhere if not handlers else _not_so)
            return await self._answer(request, handler, f"{request.method} {path}")

        return Route(path, Endpoint(respond), methods=METHODS)

    def _guest_route(self, path: str, handlers: Mapping[str, Callable[[Request, Guest], Awaitable[Reply]]]) -> Route:
        async def respond(request: Request) -> Response:
            try:
                guest = Guest(
                    peer=self._check_peer(request), arrival=await arrival_of(request, self._platform.clock.now())
                )
                with acting(guest.actor):
                    reply = await handlers.get(request.method, _not_so)(request, guest)
            except Exception as error:  # noqa: BLE001 - as in `_answer`
                return _response(self._failure(error), problems.MEDIA_TYPE, {})
            return _response(reply, JSON, {})

        return Route(path, Endpoint(respond), methods=METHODS)

    async def _published(self, request: Request) -> Response:
        try:
            self._check_peer(request)
            keys = self._platform.opening_keys.published(self._platform.clock.now())
        except Refused as refusal:
            return _response(self._failure(refusal), problems.MEDIA_TYPE, {})
        return _response(Reply(200, keys.encode()), "application/jose", {})

    async def _answer(self, request: Request, handler: Handler, address: str) -> Response:
        caller: Caller | None = None
        code = OK
        try:
            caller = await self._caller(request)
            with acting(caller.actor):
                reply, media_type = await handler(request, caller), JSON
        except Exception as error:  # noqa: BLE001 - the edge answers every failure, and says nothing about the unforeseen
            reply, media_type = self._failure(error), problems.MEDIA_TYPE
            code = error.code if isinstance(error, TallystickError) else TallystickError.code
        self.answers[address, code] += 1
        if reply.stream is not None:
            return _response(reply, EVENT_STREAM, {})
        return _response(reply, media_type, self._signature(caller, reply))

    async def _caller(self, request: Request) -> Caller:
        """Find out who calls, from the connection alone.

        1. Its address has not sent too much: TooMany. A client certificate is there and counts (`Standing`):
           CertificateMissing, CertificateRevoked and more.
        2. It names an active channel or a known institution: CertificateWrongPurpose, ChannelUnknown, ChannelSuspended.
        3. The sender has not sent too much: TooMany, before its body is read.
        4. The body is within its bound: TooLarge.
        """
        # 1.
        peer = self._check_peer(request)
        # 2.
        known = await self._senders.find(peer, self._platform.clock.now())
        # 3.
        self._platform.counter.count(LimitKind.CHANNEL, known.sender.id)
        # 4.
        arrival = await arrival_of(request, self._platform.clock.now())
        return Caller(
            arrival=arrival,
            peer=peer,
            sender=known.sender,
            key=known.key,
            recheck=functools.partial(self._recheck, request.scope[PEER]),
            channel=known.channel,
            back_end=known.back_end,
        )

    def _check_peer(self, request: Request) -> PeerCertificate:
        self._platform.counter.count(LimitKind.NETWORK, network_of(request))
        peer = request.scope.get(PEER)
        if not isinstance(peer, PeerCertificate):
            raise CertificateMissing("this address needs a client certificate")
        return self._standing.check(peer, self._platform.clock.now())

    async def _recheck(self, peer: PeerCertificate) -> KnownSender:
        """Check 1. and 2. of `_caller` again."""
        now = self._platform.clock.now()
        return await self._senders.find(self._standing.check(peer, now), now)

    def _signature(self, caller: Caller | None, reply: Reply) -> dict[str, str]:
        if caller is None:
            return {}
        found = _NONCE.search(caller.arrival.headers.get("signature-input", ""))
        if found is None:
            return {}
        signer: Signer = caller.key if isinstance(caller.key, HmacKey | HmacOverlap) else self._identity
        created = self._platform.clock.now() // 1000
        return httpsig.sign_response(
            signer, keyid=caller.sender.id, status=reply.status, body=reply.body, created=created, nonce=found[1]
        )

    def _failure(self, error: Exception) -> Reply:
        document = problems.failure(error, self._platform.randomness)
        return Reply(document.status, problems.encode(document), headers=problems.retry_after(error))

    async def _post_part(self, _: Request, caller: Caller) -> Reply:
        with self._carriers.room:
            accepted = await accept(
                self._platform,
                caller.arrival,
                channel=channel_of(caller),
                certificate=caller.peer.fingerprint,
                sender=caller.sender,
                key=caller.key,
            )
            if accepted.joined is not None:
                self._carriers.start(accepted.joined)
        return Reply(202, accepted.body)

    async def _get_part(self, request: Request, caller: Caller) -> Reply:
        channel, part_id = channel_of(caller), request.path_params["id"]
        verify(caller.arrival, caller.sender, caller.key)
        now = self._platform.clock.now()
        status = await self._platform.store.read(lambda books: overview.part_status(books, part_id, channel.id, now))
        return Reply(200, msgspec.json.encode(status))

    async def _post_payment(self, _: Request, caller: Caller) -> Reply:
        body = await orders.create_payment(
            self._platform, caller.arrival, channel=caller.channel, sender=caller.sender, key=caller.key
        )
        return Reply(201, body)

    async def _get_payment(self, request: Request, caller: Caller) -> Reply:
        payment_id = request.path_params["id"]
        verify(caller.arrival, caller.sender, caller.key)
        status = await self._platform.store.read(
            lambda books: overview.payment_status(books, payment_id, caller.sender.id)
        )
        return Reply(200, msgspec.json.encode(status))

    async def _cancel(self, request: Request, caller: Caller) -> Reply:
        payment_id = request.path_params["id"]
        body = await orders.cancel_payment(
            self._platform, caller.arrival, payment_id, sender=caller.sender, key=caller.key
        )
        return Reply(200, body)

    async def _give_pin_token(self, _: Request, caller: Caller) -> Reply:
        body = await orders.give_pin_token(
            self._platform, caller.arrival, channel=channel_of(caller), sender=caller.sender, key=caller.key
        )
        return Reply(201, body)

    async def _choose(self, _: Request, caller: Caller) -> Reply:
        with self._carriers.room:
            accepted = await orders.settle_quarantine(
                self._platform, caller.arrival, channel=channel_of(caller), sender=caller.sender, key=caller.key
            )
            if accepted.joined is not None:
                self._carriers.start(accepted.joined)
        return Reply(200, accepted.body)

    async def _set_number(self, _: Request, caller: Caller) -> Reply:
        body = await orders.set_number(
            self._platform, caller.arrival, back_end_of(caller), sender=caller.sender, key=caller.key
        )
        return Reply(200, body)

    async def _issue_value(self, _: Request, caller: Caller) -> Reply:
        body = await orders.issue_value(
            self._platform, caller.arrival, back_end_of(caller), sender=caller.sender, key=caller.key
        )
        return Reply(200, body)


async def _nowhere(_request: Request, _caller: Caller) -> Reply:
    raise NotFound("nothing is at this address")


async def _not_so(_request: Request, _caller: Caller | Guest) -> Reply:
    raise MethodRefused("this address does not take this method")


def _response(reply: Reply, media_type: str, headers: dict[str, str]) -> Response:
    fixed = {"content-type": media_type, "cache-control": "no-store"}
    if reply.stream is None:
        fixed["content-length"] = str(len(reply.body))
    lines = {**fixed, **reply.headers, **headers}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
    return Response(reply.status, raw, reply.body, reply.stream)
