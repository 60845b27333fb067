"""The connector to back ends that fetch their deliveries (docs/reference/pull-back-end.md).

Nothing is sent from here: a delivery is offered, sealed to its back end's own key, and handed out at most once.
"""

from typing import Final

from tallystick.adapters.connectors.pull_settings import PullSettings
from tallystick.adapters.connectors.wire_credential import kind_of, wire_credential
from tallystick.crypto.binding import bind
from tallystick.crypto.jose import seal_jwe
from tallystick.delivery import pull
from tallystick.delivery.model import (
    Answer,
    Finding,
    Instruction,
    MessageIds,
    Original,
    PullDelivery,
    PullState,
    Recovery,
)
from tallystick.delivery.pull_queue import SECOND_MS, PullQueue
from tallystick.errors import (
    AlreadyExists,
    NotSent,
    OutcomeUnknown,
    ReversalRefused,
    TallystickError,
    Unavailable,
    Unfit,
)
from tallystick.runtime import Clock, Millis
from tallystick.wire import pull as wire
from tallystick.wire import rest

POLLED_MS: Final = 60_000  # ms since its last poll within which a back end counts as there
REVERSAL_WAIT_S: Final = 15.0  # s one call waits for the acknowledgement of a reversal, at most
WITHDRAWN_CODE: Final = "00"  # of a reversal whose delivery was never handed out


class PullConnector:
    """One back end (`delivery.ports.Connector`) behind the queue it fetches from.

    Whether a request left is known exactly: handing a delivery out and withdrawing it compete by compare-and-set.
    """

    recovery: Final = frozenset({Recovery.INQUIRY, Recovery.REVERSAL})
    keeps_account: Final = False

    def __init__(self, settings: PullSettings, institution: str, queue: PullQueue, clock: Clock) -> None:
        self._settings = settings
        self._institution = institution
        self._queue = queue
        self._clock = clock
        self._closed = False

    async def deliver(self, instruction: Instruction) -> Answer:
        """Offer one delivery and wait for its outcome (`delivery.ports.Connector.deliver`).

        1. The back end takes this kind of credential, and the message can be built: else Unfit.
        2. It is written, under a key that was never used: else NotSent, or OutcomeUnknown when that is not certain.
        3. It is fetched while it is visible: else it is withdrawn, and NotSent is proven.
        4. Its outcome is told within the back end's patience: else OutcomeUnknown.

        When the caller is cancelled, the outcome is unknown; an inquiry withdraws what was not fetched.
        """
        # 1.
        key, now = instruction.ids.key, self._clock.now()
        until = Millis(now + round(self._settings.patience_s * SECOND_MS))
        body = self._message(instruction, until)
        # 2.
        if self._closed:
            raise NotSent("the connector is closed")
        visible_until = Millis(now + round(self._settings.visible_s * SECOND_MS))
        if instruction.expires_at is not None:
            visible_until = min(visible_until, instruction.expires_at)
        delivery = PullDelivery(key=key, back_end=self._institution, visible_until=visible_until)
        try:
            await self._offer(delivery, body)
            # 3.
            await self._fetched(key, visible_until)
            # 4.
            return _answer(await self._leaves(PullState.TAKEN, key, until))
        except NotSent:
            raise
        except TallystickError as failed:
            raise OutcomeUnknown(f"the outcome of the delivery is not known: {failed.detail}") from failed

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:  # noqa: ARG002  # our own record is asked
        """Withdraw what was not fetched, and say what the record tells."""
        try:
            return pull.finding(await self._queue.withdraw(original.ids.key))
        except TallystickError as failed:
            raise OutcomeUnknown(f"the record of the delivery cannot be asked: {failed.detail}") from failed

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:  # noqa: ARG002  # as above
        """Withdraw what was not fetched; else have the back end told, and wait a while for its acknowledgement."""
        key, wait_s = original.ids.key, min(self._settings.patience_s, REVERSAL_WAIT_S)
        try:
            asked = await self._queue.ask_back(key, self._institution)
            until = Millis(self._clock.now() + round(wait_s * SECOND_MS))
            found = await self._leaves(PullState.CANCEL_ASKED, key, until) or asked
        except TallystickError as failed:
            raise OutcomeUnknown(f"the reversal cannot be recorded: {failed.detail}") from failed
        if found.state is PullState.CANCEL_REFUSED:
            raise ReversalRefused("the back end refuses to undo the delivery")
        if found.state not in {PullState.WITHDRAWN, PullState.CANCELLED}:
            raise OutcomeUnknown("the back end has not acknowledged the reversal")
        return found.code or WITHDRAWN_CODE

    async def echo(self) -> None:
        """Prove that the back end polls; raises NotSent when it has not for POLLED_MS."""
        polled_at = await self._queue.polled_at(self._institution)
        if polled_at is None or self._clock.now() - polled_at > POLLED_MS:
            raise NotSent(f"the back end has not asked for deliveries for {POLLED_MS // SECOND_MS} s")

    async def aclose(self) -> None:
        """Let deliveries in flight end within a second: those not fetched are withdrawn, the others OutcomeUnknown."""
        self._closed = True

    def _message(self, instruction: Instruction, until: Millis) -> bytes:
        """Build what is handed out; its own decoding proves the form."""
        if kind_of(instruction.credential) not in self._settings.accepts:
            raise Unfit("this back end does not take this kind of credential")
        try:
            return self._built(instruction, until)
        except (TallystickError, ValueError):
            pass  # the reason may hold what was to be encoded
        raise Unfit("the delivery cannot be built from this instruction")

    def _built(self, instruction: Instruction, until: Millis) -> bytes:
        order, key = instruction.order, instruction.ids.key
        info = bind(wire.CREDENTIAL_CONTEXT, self._institution, key, order.payee, str(order.amount), order.currency)
        clear = rest.encode(wire_credential(instruction.credential))
        rest.decode_credential(clear)
        message = wire.Delivery(
            key=key,
            order=rest.RestOrder(
                payee=order.payee, amount=order.amount, currency=order.currency, reference=order.reference
            ),
            sent_at=instruction.ids.at,
            answer_by=until,
            credential=seal_jwe(self._settings.encryption_jwk, clear, info, rest.CREDENTIAL_TYPE),
        )
        body = rest.encode(message)
        wire.decode(body, wire.Delivery)
        return body

    async def _offer(self, delivery: PullDelivery, body: bytes) -> None:
        try:
            await self._queue.offer(delivery, body)
        except Unavailable as busy:
            raise NotSent("the store takes no delivery now") from busy
        except AlreadyExists:
            known = await self._queue.find(delivery.key)
            if known is None or known.state is not PullState.WITHDRAWN:
                raise
            raise NotSent("this delivery was withdrawn for good") from None

    async def _fetched(self, key: str, visible_until: Millis) -> None:
        found = await self._leaves(PullState.WAITING, key, visible_until)
        if found is None or found.state is PullState.WAITING:
            found = await self._queue.withdraw(key)
        if found is not None and found.state is PullState.WITHDRAWN:
            raise NotSent("the back end did not fetch the delivery in time")

    async def _leaves(self, state: PullState, key: str, until: Millis) -> PullDelivery | None:
        """Wait until a delivery is in another state, or the connector is closed; None when `until` comes first."""

        async def look() -> PullDelivery | None:
            found = await self._queue.find(key)
            return None if found is not None and found.state is state and not self._closed else found

        return await self._queue.wait(key, until, look)


def _answer(delivery: PullDelivery | None) -> Answer:
    """Read what the back end decided; raises OutcomeUnknown when it did not, or was told to undo it meanwhile."""
    if delivery is None or delivery.state is not PullState.DONE or delivery.verdict is None or delivery.code is None:
        raise OutcomeUnknown("the back end fetched the delivery and did not tell its outcome in time")
    return Answer(verdict=delivery.verdict, code=delivery.code, approval=delivery.approval)
