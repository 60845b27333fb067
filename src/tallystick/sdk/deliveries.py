"""The side of a back end that fetches its deliveries: poll, open the credential, tell the outcome."""

import contextlib
from typing import Final, Self

from msgspec import Struct

from tallystick.crypto.binding import bind
from tallystick.crypto.jose import JweKey
from tallystick.errors import Refused
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.requests import target_of
from tallystick.sdk.settings import Profile
from tallystick.wire import pull as wire
from tallystick.wire.rest import CREDENTIAL_TYPE, RestOrder, WireCredential, decode_credential

ACKNOWLEDGED: Final = "00"  # code of a reversal that was done


class Fetched(Struct, frozen=True, kw_only=True):
    """An order to pay: tell its outcome under `key` before `answer_by` (ms since 1970).

    `credential` is None when it does not open for this very order: decline it.
    """

    key: str
    order: RestOrder
    sent_at: int
    answer_by: int
    credential: WireCredential | None


class ToReverse(Struct, frozen=True, kw_only=True):
    """A delivery to undo under `key`; one that never arrived is remembered, so that it has no effect later either."""

    key: str


class Deliveries:
    """Fetch deliveries as one institution; `key` opens what is sealed for it (`JweKey`).

    Decide each key once, durably, before telling its outcome: the same delivery comes again when an answer was lost.
    Every method raises the errors of `sdk.errors`.
    """

    def __init__(self, client: TallystickClient, institution: str, key: JweKey) -> None:
        self._client = client
        self._institution = institution
        self._key = key

    @classmethod
    def connect(cls, profile: Profile, key: JweKey) -> Self:
        """Make a client for an institution's profile; Misconfigured."""
        return cls(TallystickClient.connect(profile), profile.credentials.sender, key)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def next(
        self, wait: int = wire.WAIT_MAX_S, *, idempotency_key: str | None = None
    ) -> Fetched | ToReverse | None:
        """Wait up to `wait` seconds for something to do; None when nothing came.

        After PlatformUnreachable, repeat with the same `idempotency_key`: a delivery is handed out only once, and what
        was lost on its way comes again to that key alone.
        """
        poll = wire.Poll(wait=wait)
        work = await self._client.post(wire.NEXT, poll, wire.Work, idempotency_key=idempotency_key, wait_s=wait)
        match work.job:
            case wire.Delivery() as delivery:
                return self._opened(delivery)
            case wire.Reversal(key=key):
                return ToReverse(key=key)
            case None:
                return None

    async def approve(self, key: str, *, code: str = "00", approval: str | None = None) -> str:
        """Tell that a delivery was paid; returns the state it has at the platform now."""
        decided = wire.Decided(v=1, verdict="approved", code=code, approval=approval)
        return await self._tell(key, "outcome", decided)

    async def decline(self, key: str, *, code: str) -> str:
        """Tell that a delivery was not paid; returns the state it has at the platform now."""
        return await self._tell(key, "outcome", wire.Decided(v=1, verdict="declined", code=code))

    async def reversed(self, key: str, *, code: str = ACKNOWLEDGED) -> str:
        """Tell that a delivery has no effect and never will; returns the state it has at the platform now."""
        return await self._tell(key, "reversal", wire.Undone(v=1, result="reversed", code=code))

    async def refuse_reversal(self, key: str, *, code: str) -> str:
        """Tell that a delivery cannot be undone: a person at the platform takes over."""
        return await self._tell(key, "reversal", wire.Undone(v=1, result="refused", code=code))

    async def _tell(self, key: str, what: str, content: Struct) -> str:
        return (await self._client.post(target_of(wire.DELIVERIES, key, what), content, wire.Noted)).state

    def _opened(self, delivery: wire.Delivery) -> Fetched:
        order, key = delivery.order, delivery.key
        info = bind(wire.CREDENTIAL_CONTEXT, self._institution, key, order.payee, str(order.amount), order.currency)
        credential = None
        with contextlib.suppress(Refused):  # sealed for another key or order: there is nothing to pay with
            credential = decode_credential(self._key.open(delivery.credential, info, CREDENTIAL_TYPE))
        return Fetched(
            key=key, order=order, sent_at=delivery.sent_at, answer_by=delivery.answer_by, credential=credential
        )
