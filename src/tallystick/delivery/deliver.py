"""Deliver once: durable intent, then the send, then the durable outcome (design: delivery).

`record_intent` and `settle` each run in a store transaction of their own; between them lies the one send. A crash in
between leaves an intent that is SENDING: `doubts` makes it UNKNOWN once its node is dead, and `resolve` finds out or
undoes it.
"""

from datetime import UTC, datetime
from typing import Final, Protocol

from msgspec import Struct

from tallystick import limits
from tallystick.assembly.facts import PaymentState
from tallystick.assembly.model import Payment
from tallystick.assembly.ports import PaymentBook
from tallystick.crypto import kdf
from tallystick.crypto.binding import bind
from tallystick.delivery.model import (
    Answer,
    Instruction,
    Intent,
    IntentState,
    MessageIds,
    Recovery,
    Verdict,
)
from tallystick.delivery.ports import Connector, IntentBook, OwnNode, RecoveryKeys
from tallystick.errors import NotSent, OutcomePending, TooMany
from tallystick.runtime import Clock, Millis, Randomness
from tallystick.secret import Secret
from tallystick.vault.model import CardCredential, Credential

NOT_SENT: Final = "not_sent"
"""Reason on a payment that is deliverable but whose candidates could not be reached."""

RETRIES_MAX: Final = 1  # times one process repeats a request whose back end acts once on the same identifiers
RETRY_WAIT_S: Final = 0.5  # s before such a repeat, at most; the half of it is random

_AFTER: Final = {
    IntentState.APPROVED: PaymentState.APPROVED,
    IntentState.DECLINED: PaymentState.DECLINED,
    IntentState.UNKNOWN: PaymentState.UNKNOWN,
    IntentState.NOT_SENT: PaymentState.JOINED,
}


class DeliveryBook(IntentBook, PaymentBook, Protocol):
    """What an intent and its outcome read and write."""


class Outcome(Struct, frozen=True, kw_only=True):
    """How a send ended; `code` is the back end's response code where it gave one, `elsewhere` as in `Answer`."""

    state: IntentState
    code: str | None = None
    elsewhere: bool = False


class Account(Struct, frozen=True, kw_only=True):
    """A card number sealed under a recovery epoch, for inquiry and reversal."""

    epoch: str
    sealed: bytes


async def record_intent(
    book: DeliveryBook,
    payment: Payment,
    back_end: str,
    table_version: int,
    *,
    at: Millis,
    node: str,
    blind_key: bytes,
    account: Account | None = None,
) -> Intent | None:
    """Win the right to send: record the intent, or return None when another caller is at it or the time is over.

    Left to the caller: that `node`, who sends, has its lease.

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
    ids = await message_ids(book, payment.id, n, back_end, at)
    intent = Intent(
        payment_id=payment.id,
        n=n,
        back_end=back_end,
        ids=ids,
        table_version=table_version,
        digest=request_digest(blind_key, payment, back_end, ids),
        epoch=account.epoch if account else None,
        account=account.sealed if account else None,
        node=node,
    )
    await book.add_intent(intent)
    return intent


async def send(
    connector: Connector,
    instruction: Instruction,
    *,
    node: OwnNode,
    clock: Clock,
    randomness: Randomness,
) -> Outcome:
    """Send and say how it ended; whatever is not a definite answer or a proven non-send is UNKNOWN.

    Nothing is sent without the node's lease. The request is repeated only with Recovery.RETRY, before its expiry, and
    never after OutcomePending. Once a try ended unknown, only a definite answer to a repeat changes that: its NotSent
    says nothing about the try before.
    """
    doubtful = False
    for tries_left in reversed(range(_tries(connector))):
        try:
            node.require_lease()
            return _outcome(await connector.deliver(instruction))
        except NotSent:
            if not doubtful:
                return Outcome(state=IntentState.NOT_SENT)
        except OutcomePending:
            break
        except Exception:  # noqa: BLE001 - fail closed: an unforeseen error proves nothing about what the back end did
            doubtful = True
        if tries_left:
            await clock.sleep(jittered(RETRY_WAIT_S, randomness))
            if instruction.expires_at is not None and clock.now() >= instruction.expires_at:
                break
    return Outcome(state=IntentState.UNKNOWN)


async def settle(book: DeliveryBook, intent: Intent, outcome: Outcome, at: Millis, *, more: bool = False) -> bool:
    """Record the outcome and, when it is final, erase the parts; False when the intent was settled before.

    With `more` candidates to try, a decline that tells so (`Answer.elsewhere`) leaves the payment JOINED for them.
    """
    settled = await book.settle_intent(intent.payment_id, intent.n, state=outcome.state, code=outcome.code, at=at)
    if not settled:
        return False
    goes_on = outcome.state is IntentState.NOT_SENT or (outcome.elsewhere and more)
    await book.advance(
        intent.payment_id,
        expected=PaymentState.DELIVERING,
        state=PaymentState.JOINED if goes_on else _AFTER[outcome.state],
        at=at,
        back_end=intent.back_end,
        response_code=outcome.code,
        reason=NOT_SENT if outcome.state is IntentState.NOT_SENT else None,
    )
    if not goes_on:
        await book.erase_parts(intent.payment_id)
    return True


def seal_account(
    connector: Connector, credential: Credential, payment_id: str, keys: RecoveryKeys, at: Millis
) -> Account | None:
    """Seal the card number where the connector names it again for inquiry or reversal."""
    if not connector.keeps_account or not isinstance(credential, CardCredential):
        return None
    epoch = keys.current(at)
    clear = credential.pan.reveal().encode()
    return Account(epoch=epoch, sealed=keys.key(epoch).seal(clear, bind("account", payment_id)))


def open_account(intent: Intent, keys: RecoveryKeys) -> Secret | None:
    """Open the card number kept with an authorisation; raises KeyUnknown once its key is destroyed."""
    if intent.epoch is None or intent.account is None:
        return None
    return Secret(keys.key(intent.epoch).unseal(intent.account, bind("account", intent.payment_id)).decode())


async def message_ids(book: IntentBook, payment_id: str, n: int, back_end: str, at: Millis) -> MessageIds:
    """Give request `n` of a payment its identifiers; raises TooMany when the hour's trace numbers are used up."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    stan = await book.next_stan(back_end, f"{moment:%Y%m%d%H}")
    year_digit = moment.year % 10
    rrn = f"{year_digit}{moment:%j%H}{stan:06d}"
    return MessageIds(stan=f"{stan:06d}", rrn=rrn, key=request_key(payment_id, n), at=at)


def request_key(payment_id: str, n: int) -> str:
    """Name request `n` of a payment: the key by which a REST back end recognises it, and tells of it later."""
    return f"req_{payment_id.removeprefix('pay_')}_{n}"


def named_request(key: str) -> tuple[str, int] | None:
    """Return the payment id and `n` that a request key names, if it has the form of one."""
    prefix, _, rest = key.partition("_")
    token, _, n = rest.rpartition("_")
    if prefix != "req" or not token or not n.isascii() or not n.isdigit() or len(n) > len(str(limits.ATTEMPTS_MAX)):
        return None
    return f"pay_{token}", int(n)


def request_digest(blind_key: bytes, payment: Payment, back_end: str, ids: MessageIds) -> bytes:
    """Digest everything of a request but the credential: the record must not hold a function of a PIN."""
    order = payment.order
    facts = (order.payee, str(order.amount), order.currency, order.reference) if order else ()
    return kdf.digest(blind_key, "intent", payment.id, back_end, ids.stan, ids.rrn, ids.key, str(ids.at), *facts)


def jittered(wait_s: float, randomness: Randomness) -> float:
    """Return between a half and the whole of a wait, so that many that fail together do not come back together."""
    return wait_s * (0.5 + randomness.token(1)[0] / 512)


def _tries(connector: Connector) -> int:
    return 1 + (RETRIES_MAX if Recovery.RETRY in connector.recovery else 0)


def _outcome(answer: Answer) -> Outcome:
    if answer.verdict is Verdict.APPROVED:
        return Outcome(state=IntentState.APPROVED, code=answer.code)
    return Outcome(state=IntentState.DECLINED, code=answer.code, elsewhere=answer.elsewhere)
