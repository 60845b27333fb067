"""Deliver once: durable intent, then the send, then the durable outcome (design: delivery).

`record_intent` and `settle` each run in a store transaction of their own; between them lies the one send. A crash in
between leaves an intent that is SENDING: `sweep.recover` makes it UNKNOWN, nothing resends it.
"""

from datetime import UTC, datetime
from typing import Final, Protocol

from msgspec import Struct

from tallystick import limits
from tallystick.assembly.facts import PaymentState
from tallystick.assembly.model import Payment
from tallystick.assembly.ports import PaymentBook
from tallystick.crypto import kdf
from tallystick.delivery.model import Answer, Instruction, Intent, IntentState, MessageIds, Verdict
from tallystick.delivery.ports import Connector, IntentBook
from tallystick.errors import NotSent, TooMany
from tallystick.runtime import Millis, Randomness, new_id

NOT_SENT: Final = "not_sent"
"""Reason on a payment that is deliverable but whose candidates could not be reached."""

_AFTER: Final = {
    IntentState.APPROVED: PaymentState.APPROVED,
    IntentState.DECLINED: PaymentState.DECLINED,
    IntentState.UNKNOWN: PaymentState.UNKNOWN,
    IntentState.NOT_SENT: PaymentState.JOINED,
}


class DeliveryBook(IntentBook, PaymentBook, Protocol):
    """What an intent and its outcome read and write."""


class Outcome(Struct, frozen=True, kw_only=True):
    """How a send ended; `code` is the back end's response code where it gave one."""

    state: IntentState
    code: str | None = None


async def record_intent(
    book: DeliveryBook, payment: Payment, back_end: str, table_version: int, *, at: Millis, key: str, blind_key: bytes
) -> Intent | None:
    """Win the right to send: record the intent, or return None when another caller is at it or the time is over.

    1. Nothing is sent after the payment's expiry.
    2. JOINED to DELIVERING by compare-and-set: only the winner sends.
    3. A bounded number of attempts: TooMany.
    """
    # 1.
    if at >= payment.expires_at:
        return None
    # 2.
    if not await book.advance(
        payment.id, expected=PaymentState.JOINED, state=PaymentState.DELIVERING, at=at, back_end=back_end
    ):
        return None
    # 3.
    n = len(await book.intents(payment.id)) + 1
    if n > limits.ATTEMPTS_MAX:
        raise TooMany("this payment was tried too often")
    ids = await _message_ids(book, back_end, at, key)
    digest = _digest(blind_key, payment, back_end, ids)
    intent = Intent(payment_id=payment.id, n=n, back_end=back_end, ids=ids, table_version=table_version, digest=digest)
    await book.add_intent(intent)
    return intent


async def send(connector: Connector, instruction: Instruction) -> Outcome:
    """Send once and say how it ended; whatever is not a definite answer or a proven non-send is UNKNOWN."""
    try:
        answer: Answer = await connector.deliver(instruction)
    except NotSent:
        return Outcome(state=IntentState.NOT_SENT)
    except Exception:  # noqa: BLE001 - fail closed: an unforeseen error proves nothing about what the back end did
        return Outcome(state=IntentState.UNKNOWN)
    state = IntentState.APPROVED if answer.verdict is Verdict.APPROVED else IntentState.DECLINED
    return Outcome(state=state, code=answer.code)


async def settle(book: DeliveryBook, intent: Intent, outcome: Outcome, at: Millis) -> None:
    """Record the outcome and, when it is final, erase the parts; a second call for the same intent changes nothing."""
    if not await book.settle_intent(intent.payment_id, intent.n, state=outcome.state, code=outcome.code, at=at):
        return
    await book.advance(
        intent.payment_id,
        expected=PaymentState.DELIVERING,
        state=_AFTER[outcome.state],
        at=at,
        back_end=intent.back_end,
        response_code=outcome.code,
        reason=NOT_SENT if outcome.state is IntentState.NOT_SENT else None,
    )
    if outcome.state is not IntentState.NOT_SENT:
        await book.erase_parts(intent.payment_id)


def idempotency_key(randomness: Randomness) -> str:
    """Make the key by which a REST back end recognises one request."""
    return new_id("req", randomness)


async def _message_ids(book: IntentBook, back_end: str, at: Millis, key: str) -> MessageIds:
    moment = datetime.fromtimestamp(at / 1000, UTC)
    stan = await book.next_stan(back_end, f"{moment:%Y%m%d%H}")
    year_digit = moment.year % 10
    return MessageIds(stan=f"{stan:06d}", rrn=f"{year_digit}{moment:%j%H}{stan:06d}", key=key, at=at)


def _digest(blind_key: bytes, payment: Payment, back_end: str, ids: MessageIds) -> bytes:
    """Digest everything of the request but the credential: the record must not hold a function of a PIN."""
    order = payment.order
    facts = (order.payee, str(order.amount), order.currency, order.reference) if order else ()
    return kdf.digest(blind_key, "intent", payment.id, back_end, ids.stan, ids.rrn, ids.key, str(ids.at), *facts)
