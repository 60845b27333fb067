"""`POST /v1/outcomes`: a REST back end tells what became of a request (docs/reference/rest-back-end.md)."""

from collections.abc import Callable
from typing import Final

import msgspec
from starlette.requests import Request

from tallystick.crypto.binding import bind
from tallystick.delivery.books import Books
from tallystick.delivery.model import Finding, Known
from tallystick.delivery.notification import Notification, take, told_payment
from tallystick.errors import WrongMediaType
from tallystick.path import Platform
from tallystick.security.idempotency import answer_once
from tallystick.security.verify import verify
from tallystick.service.handling import Caller, Handlers, Reply, back_end_of
from tallystick.wire import rest as wire
from tallystick.wire.payment import Done

OK: Final = 200
_DONE: Final = msgspec.json.encode(Done())


class Outcomes:
    """The address for outcomes; `settled` hears the id of each payment that one of them settled."""

    def __init__(self, platform: Platform, settled: Callable[[str], None] = lambda _: None) -> None:
        self._platform = platform
        self._settled = settled

    def handlers(self) -> Handlers:
        """Return what the gateway serves."""
        return {wire.OUTCOMES: {"POST": self._told}}

    async def _told(self, _: Request, caller: Caller) -> Reply:
        """Take one outcome.

        1. An institution calls: CertificateWrongPurpose.
        2. It signed the message, just now: as `security.verify.verify`.
        3. The message has its form: WrongMediaType, Malformed.
        4. Its nonce is new, and the message is about a request that went there: Replayed, NotFound.

        A repeat under another nonce settles nothing and gets the same answer.
        """
        # 1.
        back_end, arrival, platform = back_end_of(caller), caller.arrival, self._platform
        # 2.
        verified = verify(arrival, caller.sender, caller.key)
        # 3.
        if arrival.headers.get("content-type") != wire.MEDIA_TYPE:
            raise WrongMediaType(f"this address takes {wire.MEDIA_TYPE}")
        notice = wire.decode(arrival.body, wire.OutcomeNotice)
        finding = Finding(known=Known(notice.verdict), code=notice.code)
        notification = Notification(key=notice.payment_key, finding=finding)
        settled = False

        # 4.
        async def work(books: Books) -> bytes:
            async def act() -> bytes:
                nonlocal settled
                settled = await take(books, back_end.id, notification, arrival.at)
                return _DONE

            content = bind(arrival.target) + arrival.body
            return await answer_once(books, platform.epochs, verified, content, arrival.at, act)

        body = await platform.store.transact(work)
        if settled:
            self._settled(told_payment(notification))
        return Reply(OK, body)
