"""Speak as a payer's page does, without a browser: for tests, and for shops that build pages of their own."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from tallystick.channels.capability import named_by_secret, session_of
from tallystick.crypto.signing import HmacKey
from tallystick.runtime import Clock, Randomness
from tallystick.sdk.requests import Credentials, PaymentBinding, Request, seal_request, sign_get, sign_post
from tallystick.secret import Secret
from tallystick.wire import page as wire
from tallystick.wire.keys import PublishedKey
from tallystick.wire.part import PageElement, PartContent, WireOrder
from tallystick.wire.payment import Nothing

NONCE_BYTES: Final = 16  # random bytes of a nonce


class Answer(Struct, frozen=True):
    """What came back; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Send = Callable[[Request], Awaitable[Answer]]
"""How a request reaches the page's listener; a browser's cookies go both ways with it."""


class PageRefused(Exception):
    """The listener refused; `code` is that of its problem document."""

    def __init__(self, status: int, code: str, remedy: str) -> None:
        super().__init__(f"refused as {code}: {remedy}")
        self.status = status
        self.code = code


class PageVisitor:
    """One page of one payer: `start` first, then whatever the page offers."""

    def __init__(
        self, secret: str, send: Send, key_of: Callable[[str], PublishedKey], clock: Clock, randomness: Randomness
    ) -> None:
        self._link = named_by_secret(Secret(secret))
        self._send = send
        self._key_of = key_of
        self._clock = clock
        self._randomness = randomness
        self._own = self._nonce()
        session = session_of(self._link.key, self._own)
        self.credentials = Credentials(session.name, HmacKey(session.key))
        self.view: wire.PageView | None = None

    async def start(self) -> wire.PageView:
        """Start the session, or find it again; raises PageRefused."""
        starter = Credentials(self._link.name, HmacKey(self._link.key))
        body = await self._post(starter, wire.START, wire.StartSession(nonce=self._own))
        self.view = msgspec.json.decode(body, type=wire.PageView)
        return self.view

    async def state(self) -> wire.PageStatus:
        """Ask where the payment stands."""
        request = sign_get(self.credentials, wire.STATE, created=self._seconds(), nonce=self._nonce())
        return msgspec.json.decode(await self._take(request), type=wire.PageStatus)

    async def send_part(self, fields: Mapping[str, str]) -> None:
        """Seal this page's part, bound to the order that the page shows, and send it."""
        view = self.view or await self.start()
        order = WireOrder(
            payee=view.order.payee,
            amount=view.order.amount,
            currency=view.order.currency,
            reference=view.order.reference,
            lines=view.order.lines,
        )
        typed = {name: Secret(value) for name, value in fields.items()}
        request = seal_request(
            self.credentials,
            self._key_of(view.keys),
            wire.PARTS,
            PartContent(policy=view.policy, element=PageElement(), fields=typed),
            created=self._seconds(),
            nonce=self._nonce(),
            idempotency_key=self._nonce(),
            payment=PaymentBinding(view.payment, order),
        )
        await self._take(request)

    async def phone(self) -> wire.PageLink:
        """Ask for a fresh link to the phone page."""
        return await self._ask_link(wire.PHONE)

    async def hand_over(self) -> wire.PageLink:
        """Let another person pay."""
        return await self._ask_link(wire.HAND_OVER)

    async def decline(self) -> None:
        """Refuse to pay."""
        await self._post(self.credentials, wire.DECLINE, Nothing())

    async def _ask_link(self, target: str) -> wire.PageLink:
        return msgspec.json.decode(await self._post(self.credentials, target, Nothing()), type=wire.PageLink)

    async def _post(self, who: Credentials, target: str, content: Struct) -> bytes:
        created, nonce, key = self._seconds(), self._nonce(), self._nonce()
        return await self._take(sign_post(who, target, content, created=created, nonce=nonce, idempotency_key=key))

    async def _take(self, request: Request) -> bytes:
        answer = await self._send(request)
        if answer.status >= 300:  # noqa: PLR2004 - 2xx is an answer
            problem = msgspec.json.decode(answer.body)
            raise PageRefused(answer.status, problem["code"], problem["remedy"])
        return answer.body

    def _seconds(self) -> int:
        return self._clock.now() // 1000

    def _nonce(self) -> str:
        return self._randomness.token(NONCE_BYTES).hex()
