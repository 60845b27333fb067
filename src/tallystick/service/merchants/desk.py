"""The handlers of the merchants' API: each finds the caller's own payments and no others."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tallystick import limits, merchants, orders
from tallystick.assembly.facts import PaymentState
from tallystick.assembly.model import Wanted
from tallystick.crypto.binding import bind
from tallystick.delivery.books import Books
from tallystick.errors import FieldInvalid, InFlight
from tallystick.merchants import PageUrl
from tallystick.path import Platform
from tallystick.runtime import Millis
from tallystick.security.idempotency import Asked, KeyringAnswers, answer_again
from tallystick.security.model import Arrival
from tallystick.service import arrivals
from tallystick.service.background import Carriers
from tallystick.service.merchants.call import Answer, Call, encode
from tallystick.wire.merchant import Empty, NewRefund, RefundList
from tallystick.wire.payment import NewPayment

PAGE: Final = 20  # payments of one page of a list, where the caller does not say
CURSOR: Final = "after:"

Handler = Callable[[Call], Awaitable[Answer]]


class MerchantDesk:
    """Answer merchants; `page_url` says where the payer's first page is, where the platform serves pages."""

    def __init__(self, platform: Platform, carriers: Carriers, page_url: PageUrl | None = None) -> None:
        self._platform = platform
        self._carriers = carriers
        self._page_url = page_url
        self._answers = KeyringAnswers(platform.keyring)
        self._in_flight: set[tuple[str, str]] = set()

    def handlers(self) -> Mapping[str, Handler]:
        """Return a handler for each operation by its name."""
        return {
            "createPayment": self._create,
            "listPayments": self._list,
            "getPayment": self._get,
            "cancelPayment": self._cancel,
            "sendPart": self._part,
            "refundPayment": self._refund,
            "listRefunds": self._refunds,
        }

    async def _create(self, call: Call) -> Answer:
        new = call.content(NewPayment)

        async def act(books: Books) -> bytes:
            return encode(await merchants.create(self._platform, books, call.principal, new, call.at, self._page_url))

        return await self.once(call, act)

    async def _list(self, call: Call) -> Answer:
        limit = call.number("limit")
        if limit is not None and not 1 <= limit <= limits.PAGE_MAX:
            raise FieldInvalid(f"a page has 1 to {limits.PAGE_MAX} payments", field="limit")
        since, until = call.number("created_from"), call.number("created_before")
        wanted = Wanted(
            owner=call.owner,
            before=_place(call.text("cursor")),
            state=_state(call.text("state")),
            since=None if since is None else Millis(since),
            until=None if until is None else Millis(until),
        )
        return Answer(
            encode(
                await self._platform.store.read(
                    lambda books: merchants.list_payments(books, wanted, limit or PAGE, _cursor)
                )
            )
        )

    async def _get(self, call: Call) -> Answer:
        async def read(books: Books) -> bytes:
            return encode(await merchants.describe(books, await merchants.find(books, call.id, call.owner)))

        return Answer(await self._platform.store.read(read))

    async def _cancel(self, call: Call) -> Answer:
        call.content(Empty)

        async def act(books: Books) -> bytes:
            await orders.cancel(books, call.id, call.owner, call.at)
            return encode(await merchants.describe(books, await merchants.find(books, call.id, call.owner)))

        return await self.once(call, act)

    async def _part(self, call: Call) -> Answer:
        """Take the holder's own half: sealed like any other part, and signed under a key derived from the API key."""
        await self._platform.store.read(lambda books: merchants.find(books, call.id, call.owner))
        arrival = Arrival(
            method=call.operation.method,
            target=call.target,
            headers=arrivals.headers_of(call.request),
            body=call.body,
            at=call.at,
        )
        with self._carriers.room:
            accepted = await merchants.send_half(self._platform, arrival, call.principal, call.token, call.id)
            if accepted.joined is not None:
                self._carriers.start(accepted.joined)
        return Answer(accepted.body)

    async def _refund(self, call: Call) -> Answer:
        new = call.content(NewRefund)

        async def act(books: Books) -> bytes:
            made = await merchants.refund(self._platform, books, call.id, call.owner, new, call.at)
            return encode(merchants.show_refund(await merchants.find(books, call.id, call.owner), made))

        return await self.once(call, act)

    async def _refunds(self, call: Call) -> Answer:
        async def read(books: Books) -> bytes:
            payment = await merchants.find(books, call.id, call.owner)
            refunds = await books.refunds(payment.id)
            return encode(RefundList(data=tuple(merchants.show_refund(payment, each) for each in refunds)))

        return Answer(await self._platform.store.read(read))

    async def once(self, call: Call, act: Callable[[Books], Awaitable[bytes]]) -> Answer:
        """Act once for an Idempotency-Key, in one transaction.

        1. No request with this key is being answered: InFlight.
        2. An earlier one had the same address and body, and a key of the same scopes: IdempotencyMismatch; it gets the
           same answer, for
           `limits.MERCHANT_ANSWER_KEPT_MS`.
        """
        place = (call.owner, call.key)
        # 1.
        if place in self._in_flight:
            raise InFlight("a request with this Idempotency-Key is being answered")
        may = " ".join(sorted(call.principal.scopes))  # a key that may less is told less: never what another was told
        asked = Asked(sender=f"{call.owner} api", key=call.key, content=bind(call.target, may) + call.body)
        until = Millis(call.at + limits.MERCHANT_ANSWER_KEPT_MS)
        self._in_flight.add(place)
        # 2.
        try:
            answered = await self._platform.store.transact(
                lambda books: answer_again(books, self._answers, asked, call.at, until, lambda: act(books))
            )
        finally:
            self._in_flight.discard(place)
        return Answer(answered.body, again=answered.again)


def _state(text: str | None) -> PaymentState | None:
    if text is None:
        return None
    try:
        return PaymentState(text)
    except ValueError:
        raise FieldInvalid("no payment is ever in this state", field="state") from None


def _cursor(seq: int) -> str:
    return urlsafe_b64encode(f"{CURSOR}{seq}".encode()).decode().rstrip("=")


def _place(cursor: str | None) -> int | None:
    """Read a cursor; raises FieldInvalid for what `_cursor` never wrote."""
    if cursor is None:
        return None
    try:
        seq = int(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().removeprefix(CURSOR))
    except ValueError:
        seq = 0
    if not 0 < seq < 2**62 or _cursor(seq) != cursor:
        raise FieldInvalid("this is no cursor of ours", field="cursor")
    return seq
