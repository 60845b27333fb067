"""The listener of one payer's page: its files, and the JSON that its session speaks.

A page has no certificate. Its session proves itself by a MAC under keys derived from its one-time link, and by the
browser's own cookie; it counts as one channel, of one payment (design: messages).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.routing import Route, Router

from tallystick import limits, payers
from tallystick.audit.acting import PAGE, VISITOR, acting
from tallystick.channels import capability as links
from tallystick.channels.model import Capability, CapabilityState, LimitKind, PageKind
from tallystick.crypto.signing import HmacKey
from tallystick.delivery.books import Books
from tallystick.errors import Forbidden, Malformed, MethodRefused, NotFound, WrongMediaType
from tallystick.path import Platform, accept
from tallystick.payers import NewLink, Visitor
from tallystick.runtime import Millis
from tallystick.security.model import Arrival, Sender
from tallystick.security.ports import Purpose
from tallystick.security.sealing import Sealing
from tallystick.security.unseal import MEDIA_TYPE, content_decoder
from tallystick.security.verify import verify
from tallystick.service import problems
from tallystick.service.arrivals import arrival_of
from tallystick.service.background import Carriers
from tallystick.service.events import Reader, Streams, Told
from tallystick.service.handling import Endpoint, Reply, Response, network_of
from tallystick.service.pages import visitors
from tallystick.service.pages.files import FIXED, PageFiles
from tallystick.service.pages.join import JoinDesk
from tallystick.service.pages.origins import Handler, Origins, qr_rows
from tallystick.wire import page as wire

METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_start: Final = content_decoder(wire.StartSession)


class PageDesk:
    """The application behind one page's listener."""

    def __init__(
        self, platform: Platform, kind: PageKind, *, origins: Origins, carriers: Carriers, streams: Streams
    ) -> None:
        self._platform = platform
        self._kind = kind
        self._origins = origins
        self._carriers = carriers
        self._streams = streams
        self._files = PageFiles.load(kind)

    def app(self) -> Router:
        """Return the ASGI application."""
        spoken: dict[str, Mapping[str, Handler]] = {
            wire.START: {"POST": self._begin},
            wire.STATE: {"GET": self._proven(self._state)},
            wire.EVENTS: {"GET": self._events},
            wire.PARTS: {"POST": self._proven(self._part)},
            wire.DECLINE: {"POST": self._proven(self._decline)},
            **JoinDesk(self._platform, self._origins).handlers(self._kind),
        }
        if self._kind is PageKind.PC:
            spoken[wire.PHONE] = {"POST": self._proven(self._phone)}
            spoken[wire.HAND_OVER] = {"POST": self._proven(self._hand_over)}
        files = [Route(path, Endpoint(self._file(path)), methods=["GET"]) for path in self._files.files]
        routes = [Route(path, Endpoint(self._answer(handlers)), methods=METHODS) for path, handlers in spoken.items()]
        return Router([*routes, *files, Route("/{unknown:path}", Endpoint(self._answer({})), methods=METHODS)])

    def _file(self, path: str) -> Callable[[Request], Awaitable[Response]]:
        found = self._files.files[path]

        async def respond(request: Request) -> Response:
            packed = "gzip" in request.headers.get("accept-encoding", "")
            body = found.compressed if packed else found.body
            lines = {**found.headers, "content-length": str(len(body)), "vary": "accept-encoding"}
            return _response(200, {**lines, "content-encoding": "gzip"} if packed else lines, body)

        return respond

    def _answer(self, handlers: Mapping[str, Handler]) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            kind = MEDIA_TYPE
            try:
                self._platform.counter.count(LimitKind.VISITOR, network_of(request))
                handler = _handler(handlers, request.method)
                with acting(VISITOR):
                    reply = await handler(request, await arrival_of(request, self._platform.clock.now()))
            except Exception as error:  # noqa: BLE001 - the edge answers every failure, and says nothing about the unforeseen
                document = problems.failure(error, self._platform.randomness)
                reply = Reply(document.status, problems.encode(document), headers=problems.retry_after(error))
                kind = problems.MEDIA_TYPE
            if reply.stream is not None:
                return _response(reply.status, {**FIXED, "content-type": "text/event-stream"}, b"", reply)
            length = str(len(reply.body))
            return _response(
                reply.status, {**FIXED, "content-type": kind, "content-length": length, **reply.headers}, reply.body
            )

        return respond

    async def _begin(self, request: Request, arrival: Arrival) -> Reply:
        """Start a session, or find it again after a reload.

        1. The signature names a link to this page, and is made with its key: LinkRefused, SignatureInvalid, Stale.
        2. The page's channel is active: ChannelSuspended.
        3. The link opens this session only, once (`capability.start`): LinkRefused.
        """
        platform, at_rest = self._platform, Sealing(self._platform.keyring, Purpose.AT_REST)
        # 1.
        found = await platform.store.read(lambda books: visitors.capability_named(books, arrival, self._kind))
        key = HmacKey(links.capability_key(at_rest, found))
        verify(arrival, Sender(id=found.id, algorithm=HmacKey.algorithm, sealed_key=b""), key)
        nonce = _decode(arrival).nonce
        cookie = visitors.device_cookie(request)
        given = cookie or platform.randomness.token(visitors.DEVICE_BYTES).hex()
        device, network = visitors.device_digest(given), visitors.network_digest(platform, request)

        async def begin(books: Books) -> wire.PageView:
            # 2.
            channel = await visitors.page_channel(books, self._kind)
            # 3.
            now = await books.capability(found.id)
            payment = await books.payment(found.payment_id)
            if now is None or payment is None:
                raise NotFound("this payment is gone")
            until = payers.session_until(payment)
            started = await links.start(
                books, at_rest, now, nonce, device=device, network=network, now=arrival.at, until=until
            )
            visitor = visitors.visitor_of(platform, started.capability, channel)
            return await payers.view(platform, books, visitor, arrival.at)

        with acting(f"{PAGE}{self._kind}:{found.id}"):
            view = await platform.store.transact(begin)
        self._streams.wake(found.payment_id)
        headers = {} if cookie else {"set-cookie": visitors.set_cookie(given)}
        return Reply(200, msgspec.json.encode(view), headers=headers)

    async def _visitor(self, request: Request, arrival: Arrival) -> Visitor:
        device = visitors.device_digest(visitors.device_cookie(request) or "")

        async def find(books: Books) -> Visitor:
            channel = await visitors.page_channel(books, self._kind)
            capability = await visitors.session_named(books, arrival, self._kind, device)
            return visitors.visitor_of(self._platform, capability, channel)

        return await self._platform.store.read(find)

    def _proven(self, act: Callable[[Arrival, Visitor], Awaitable[Reply]]) -> Handler:
        """Let a session act once its signature is verified, in its own name."""

        async def respond(request: Request, arrival: Arrival) -> Reply:
            visitor = await self._visitor(request, arrival)
            verify(arrival, visitor.sender, visitor.key)
            with acting(f"{PAGE}{self._kind}:{visitor.sender.id}"):
                return await act(arrival, visitor)

        return respond

    async def _state(self, _: Arrival, visitor: Visitor) -> Reply:
        status = await self._platform.store.read(lambda books: payers.status(books, visitor.capability))
        return Reply(200, msgspec.json.encode(status))

    async def _events(self, request: Request, arrival: Arrival) -> Reply:
        visitor = await self._visitor(request, arrival)
        verify(arrival, visitor.sender, visitor.key)

        async def recheck() -> Capability:
            return (await self._visitor(request, msgspec.structs.replace(arrival, at=self._now()))).capability

        async def look(books: Books) -> Told:
            capability = await books.page_session(visitor.sender.id)
            status = await payers.status(books, capability or visitor.capability)
            word = f"{status.state}.{status.number}.{status.sent}.{status.expires_at}"
            body = msgspec.json.encode(status)
            return Told(payment_id=visitor.capability.payment_id, kind="page", word=word, body=body, final=status.final)

        return await self._streams.reply(request, Reader(id=visitor.sender.id, seen="", recheck=recheck), look)

    def _now(self) -> Millis:
        return self._platform.clock.now()

    async def _part(self, arrival: Arrival, visitor: Visitor) -> Reply:
        if visitor.capability.state is not CapabilityState.STARTED:
            raise Forbidden("another person pays: this page only watches")
        with self._carriers.room:
            accepted = await accept(
                self._platform,
                arrival,
                channel=visitor.channel,
                certificate=(visitor.capability.device or b"").hex(),
                sender=visitor.sender,
                key=visitor.key,
                page=visitor.capability.payment_id,
                session=visitor.sender.id,
            )
            if accepted.joined is not None:
                self._carriers.start(accepted.joined)
        self._streams.wake(visitor.capability.payment_id)
        return Reply(202, accepted.body)

    async def _decline(self, arrival: Arrival, visitor: Visitor) -> Reply:
        body = await payers.refuse_payment(self._platform, arrival, visitor)
        self._streams.wake(visitor.capability.payment_id)
        return Reply(200, body)

    async def _phone(self, arrival: Arrival, visitor: Visitor) -> Reply:
        return Reply(200, await payers.phone_link(self._platform, arrival, visitor, self._show(PageKind.PHONE)))

    async def _hand_over(self, arrival: Arrival, visitor: Visitor) -> Reply:
        body = await payers.hand_over(self._platform, arrival, visitor, self._show(PageKind.PC))
        self._streams.wake(visitor.capability.payment_id)
        return Reply(200, body)

    def _show(self, kind: PageKind) -> Callable[[NewLink], bytes]:
        def show(new: NewLink) -> bytes:
            url = self._origins.link(kind, new.secret.reveal())
            link = wire.PageLink(
                url=url,
                qr=qr_rows(url),
                expires_at=new.expires_at,
                code=new.code.reveal() if new.code is not None else None,
                origin=self._origins.of(kind),
            )
            return msgspec.json.encode(link)

        return show


def _handler(handlers: Mapping[str, Handler], method: str) -> Handler:
    if not handlers:
        raise NotFound("nothing is at this address")
    if method not in handlers:
        raise MethodRefused("this address does not take this method")
    return handlers[method]


def _decode(arrival: Arrival) -> wire.StartSession:
    if arrival.headers.get("content-type") != MEDIA_TYPE:
        raise WrongMediaType(f"this address takes {MEDIA_TYPE}")
    try:
        return _start.decode(arrival.body[: limits.BODY_MAX])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Malformed("the body is not {nonce}") from None


def _response(status: int, lines: Mapping[str, str], body: bytes, reply: Reply | None = None) -> Response:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
    return Response(status, raw, body, reply.stream if reply else None)
