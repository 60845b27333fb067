"""Settle an unknown outcome: find out, undo, or hand it to a person; never a new authorisation (design: delivery).

UNKNOWN → INQUIRY → APPROVED | DECLINED | REVERSED | MANUAL. `plan` records what will be asked before anything is sent,
`pursue` sends it once and records what it gave; `sweep` calls both until the payment is settled. `notified` takes what
a back end tells by itself. All of them may run in many places at once: compare-and-set decides who counts.
"""

import logging
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tallystick import limits
from tallystick.assembly.facts import DOUBTFUL_STATES, PaymentState
from tallystick.assembly.model import Payment
from tallystick.delivery.books import Books, Store
from tallystick.delivery.deliver import (
    DeliveryBook,
    Outcome,
    jittered,
    message_ids,
    named_request,
    open_account,
    request_digest,
)
from tallystick.delivery.model import Finding, Intent, IntentKind, IntentState, Known, Original, Recovery
from tallystick.delivery.ports import Connector, RecoveryKeys
from tallystick.errors import AlreadyFinal, Conflict, KeyUnknown, NotFound, ReversalRefused
from tallystick.runtime import Clock, Millis, Randomness

INQUIRIES_MAX: Final = 8  # inquiries that found nothing out before a reversal, or a person, takes over
PENDING_MAX: Final = 64  # inquiries answered "pending" before the same: about five hours
LEASE_MS: Final = 25_000  # ms one send of an inquiry or reversal may take before another caller repeats it
BACKOFF_FIRST_S: Final = 1.0  # s before the second send
BACKOFF_MAX_S: Final = 300.0  # s between later sends
BACKOFF_DOUBLINGS: Final = 9  # 1 s doubled so often is above BACKOFF_MAX_S

NO_WAY_TO_ASK: Final = "back_end_cannot_tell"
NOT_TOLD_IN_TIME: Final = "not_told_in_time"
REVERSAL_REFUSED: Final = "reversal_refused"
ACCOUNT_GONE: Final = "account_gone"

_log = logging.getLogger(__name__)

_SETTLED: Final = {
    Known.APPROVED: (IntentState.APPROVED, PaymentState.APPROVED),
    Known.DECLINED: (IntentState.DECLINED, PaymentState.DECLINED),
    Known.REVERSED: (IntentState.REVERSED, PaymentState.REVERSED),
}
_TRIES_BEFORE_REVERSAL: Final = {None: INQUIRIES_MAX, Known.NOT_FOUND: 1, Known.PENDING: PENDING_MAX}
_TRIES_BEFORE_PERSON: Final = {Known.NOT_FOUND: INQUIRIES_MAX, Known.PENDING: PENDING_MAX}
_ANSWERED: Final = {IntentState.APPROVED: Known.APPROVED, IntentState.DECLINED: Known.DECLINED}
_NEVER_AGAIN: Final = frozenset({IntentState.NOT_SENT, IntentState.REVERSED})


class Step(StrEnum):
    """What follows a try that handed the case to nobody."""

    SETTLE = "settle"
    WAIT = "wait"
    REVERSE = "reverse"


class Case(Struct, frozen=True, kw_only=True):
    """A request in doubt, and the inquiry or reversal that is to settle it."""

    payment: Payment
    doubtful: Intent
    follow_up: Intent


async def plan(
    book: DeliveryBook, payment_id: str, recovery: frozenset[Recovery], *, at: Millis, blind_key: bytes
) -> Case | None:
    """Take an UNKNOWN payment up: record its first inquiry or reversal, due now; MANUAL when neither is possible.

    Returns None when there is nothing to do, or when another caller was first. Raises TooMany when the hour's trace
    numbers are used up: nothing was changed, and it is planned again later.
    """
    payment = await book.payment(payment_id)
    if payment is None or payment.state is not PaymentState.UNKNOWN:
        return None
    doubtful = next((i for i in await book.intents(payment_id) if i.state is IntentState.UNKNOWN), None)
    if doubtful is None:
        return None
    kind = _first_kind(recovery)
    if kind is None:
        await _give_up(book, payment, doubtful, None, NO_WAY_TO_ASK, at)
        return None
    case = await _follow_up(book, payment, doubtful, kind, at=at, blind_key=blind_key)
    await book.advance(
        payment_id,
        expected=PaymentState.UNKNOWN,
        state=PaymentState.INQUIRY,
        at=at,
        back_end=doubtful.back_end,
        reason=payment.reason,
    )
    return case


async def case_of(book: DeliveryBook, follow_up: Intent) -> Case | None:
    """Read the case that an inquiry or reversal belongs to; None when it is settled, or was sent by another since."""
    payment = await book.payment(follow_up.payment_id)
    intents = await book.intents(follow_up.payment_id)
    now = next((intent for intent in intents if intent.n == follow_up.n), None)
    doubtful = next((intent for intent in intents if intent.n == follow_up.of), None)
    if payment is None or doubtful is None or now != follow_up or follow_up.state is not IntentState.SENDING:
        return None
    return Case(payment=payment, doubtful=doubtful, follow_up=follow_up)


async def pursue(
    store: Store[Books],
    connector: Connector | None,
    case: Case,
    *,
    keys: RecoveryKeys,
    clock: Clock,
    randomness: Randomness,
    blind_key: bytes,
) -> Case | None:
    """Send a case's inquiry or reversal once, and record what it gave.

    1. The send is counted, durably, before it happens; only the winner of that compare-and-set sends.
    2. What the back end says settles the case, or does not: then it is due again, with growing waits.
    3. Beyond its bounds the case goes on to a reversal, or to a person.

    Without a connector (its settings cannot be used now) nothing is sent, but the time goes on as with a silent one.
    Returns the case that takes over at once (a reversal after an inquiry), if there is one.
    """
    follow_up, tried = case.follow_up, case.follow_up.tries
    # 1.
    lease = Millis(clock.now() + LEASE_MS)
    won = await store.transact(
        lambda books: books.schedule_intent(
            follow_up.payment_id, follow_up.n, tried=tried, tries=tried + 1, due_at=lease
        )
    )
    if not won:
        return None
    case = replace(case, follow_up=replace(follow_up, tries=tried + 1, due_at=lease))
    # 2.
    finding, failed = await _try(connector, case, keys)
    # 3.
    at, wait_s = clock.now(), jittered(_backoff_s(tried), randomness)
    can_reverse = connector is not None and Recovery.REVERSAL in connector.recovery
    step = failed or _next(case, finding, at, can_reverse=can_reverse)

    async def work(books: Books) -> Case | None:
        match step:
            case Step.SETTLE if finding is not None and follow_up.kind is IntentKind.REVERSAL:
                await _settle(books, case.payment, case.doubtful, finding, at)
            case Step.SETTLE if finding is not None:
                await _settle_told(books, case.payment, case.doubtful, finding, at)
            case Step.WAIT:
                due_at = Millis(at + round(wait_s * 1000))
                await books.schedule_intent(
                    follow_up.payment_id, follow_up.n, tried=tried + 1, tries=tried + 1, due_at=due_at
                )
            case Step.REVERSE:
                return await _reverse_instead(books, case, at=at, blind_key=blind_key)
            case reason:
                await _give_up(books, case.payment, case.doubtful, case.follow_up, reason, at)
        return None

    return await store.transact(work)


async def notified(book: DeliveryBook, back_end: str, key: str, finding: Finding, at: Millis) -> bool:
    """Take an outcome that a back end tells by itself: True when it settled something, False when it was known.

    1. The key names an authorisation that went to this very back end: NotFound.
    2. It tells an outcome; PENDING and NOT_FOUND change nothing.
    3. Once a reversal was recorded, only its own acknowledgement counts: a late approval never shows as paid.

    Left to the caller: that the message is the back end's, and fresh.
    """
    # 1.
    payment_id, n = named_request(key) or ("", 0)
    payment, intents = await book.payment(payment_id), await book.intents(payment_id)
    told = next((intent for intent in intents if intent.n == n), None)
    if payment is None or told is None or told.back_end != back_end or told.kind is not IntentKind.AUTHORISATION:
        raise NotFound("no request with this key went to this institution")
    # 2.
    if finding.known not in _SETTLED or told.state in _NEVER_AGAIN:
        return False
    # 3.
    return await _settle_told(book, payment, told, finding, at)


async def told_late(book: DeliveryBook, intent: Intent, outcome: Outcome, at: Millis) -> bool:
    """Take an answer that came when others had taken this node for dead; True when it settled something.

    It counts as what the back end tells by itself does (`notified`).
    """
    known = _ANSWERED.get(outcome.state)
    if known is None:
        return False
    return await notified(book, intent.back_end, intent.ids.key, Finding(known=known, code=outcome.code), at)


async def settle_by_hand(book: DeliveryBook, payment_id: str, known: Known, reason: str, at: Millis) -> None:
    """Record what a person found out about a payment in doubt.

    Raises NotFound; AlreadyFinal when nothing is in doubt; Conflict for an approval while a reversal is under way: what
    the person was told may be undone by now.
    """
    payment = await book.payment(payment_id)
    if payment is None:
        raise NotFound("no payment has this id")
    intents = await book.intents(payment_id)
    doubtful = next((i for i in intents if i.state in {IntentState.UNKNOWN, IntentState.MANUAL} and i.of is None), None)
    if payment.state not in DOUBTFUL_STATES or doubtful is None:
        raise AlreadyFinal("the outcome of this payment is not in doubt")
    reversing = any(i.kind is IntentKind.REVERSAL and i.state is IntentState.SENDING for i in intents)
    if known is Known.APPROVED and reversing:
        raise Conflict("this request is being reversed: it can be settled as approved only once that is given up")
    await _settle(book, replace(payment, reason=reason), doubtful, Finding(known=known), at)


def _barred(case: Case, recovery: frozenset[Recovery]) -> str | None:
    """Say what follows when the connector, set up anew since, cannot do what was planned; None when it can."""
    if Recovery(case.follow_up.kind.value) in recovery:
        return None
    return Step.REVERSE if Recovery.REVERSAL in recovery else NO_WAY_TO_ASK


def _first_kind(recovery: frozenset[Recovery]) -> IntentKind | None:
    if Recovery.INQUIRY in recovery:
        return IntentKind.INQUIRY
    return IntentKind.REVERSAL if Recovery.REVERSAL in recovery else None


async def _follow_up(
    book: DeliveryBook, payment: Payment, doubtful: Intent, kind: IntentKind, *, at: Millis, blind_key: bytes
) -> Case:
    n = len(await book.intents(payment.id)) + 1
    ids = await message_ids(book, payment.id, n, doubtful.back_end, at)
    follow_up = Intent(
        payment_id=payment.id,
        n=n,
        back_end=doubtful.back_end,
        ids=ids,
        table_version=doubtful.table_version,
        digest=request_digest(blind_key, payment, doubtful.back_end, ids),
        kind=kind,
        of=doubtful.n,
        due_at=at,
    )
    await book.add_intent(follow_up)
    return Case(payment=payment, doubtful=doubtful, follow_up=follow_up)


async def _try(connector: Connector | None, case: Case, keys: RecoveryKeys) -> tuple[Finding | None, str | None]:
    """Return what the back end said, None when it said nothing, and what follows when asking again is of no use."""
    if connector is None:
        return None, None
    if (barred := _barred(case, connector.recovery)) is not None:
        return None, barred
    try:
        return await _ask(connector, case, keys), None
    except ReversalRefused:
        return None, REVERSAL_REFUSED
    except KeyUnknown:
        return None, ACCOUNT_GONE
    except Exception as error:  # noqa: BLE001 - whatever went wrong, nothing was found out: it is asked again
        _log.warning("payment %s stays in doubt: %s", case.payment.id, type(error).__name__)
        return None, None


async def _ask(connector: Connector, case: Case, keys: RecoveryKeys) -> Finding:
    """Send the inquiry or reversal; raises DeliveryError, and KeyUnknown when the card number is gone for good."""
    doubtful, follow_up = case.doubtful, case.follow_up
    if case.payment.order is None:
        raise KeyUnknown("the payment has no order")
    original = Original(
        payment_id=case.payment.id,
        order=case.payment.order,
        ids=doubtful.ids,
        account=open_account(doubtful, keys) if connector.keeps_account else None,
    )
    if follow_up.kind is IntentKind.INQUIRY:
        return await connector.inquire(original, follow_up.ids)
    code = await connector.reverse(original, follow_up.ids, repeat=follow_up.tries > 1)
    return Finding(known=Known.REVERSED, code=code)


def _next(case: Case, finding: Finding | None, at: Millis, *, can_reverse: bool) -> str:
    """Say what follows: a Step, or the reason for which a person takes over."""
    known, tries = finding.known if finding else None, case.follow_up.tries
    if known in _SETTLED:
        return Step.SETTLE
    over = at - case.doubtful.ids.at >= limits.RECOVERY_LIFE_MS
    if case.follow_up.kind is IntentKind.INQUIRY:
        if can_reverse and (over or tries >= _TRIES_BEFORE_REVERSAL[known]):
            return Step.REVERSE
        over = over or (known is not None and tries >= _TRIES_BEFORE_PERSON[known])
    return NOT_TOLD_IN_TIME if over else Step.WAIT


async def _reverse_instead(book: DeliveryBook, case: Case, *, at: Millis, blind_key: bytes) -> Case | None:
    follow_up = case.follow_up
    if not await book.settle_intent(follow_up.payment_id, follow_up.n, state=IntentState.DONE, code=None, at=at):
        return None
    return await _follow_up(book, case.payment, case.doubtful, IntentKind.REVERSAL, at=at, blind_key=blind_key)


async def _settle_told(book: DeliveryBook, payment: Payment, doubtful: Intent, finding: Finding, at: Millis) -> bool:
    """Settle by what a back end said of an authorisation, unless a reversal was recorded: only its own end counts then.

    The answer to an inquiry may come late, too: after another process asked again and went on to the reversal.
    """
    if any(i.kind is IntentKind.REVERSAL and i.of == doubtful.n for i in await book.intents(payment.id)):
        return False
    return await _settle(book, payment, doubtful, finding, at)


async def _settle(book: DeliveryBook, payment: Payment, doubtful: Intent, finding: Finding, at: Millis) -> bool:
    """Give an authorisation its outcome and end what asks about it; False when it had one already."""
    intent_state, payment_state = _SETTLED[finding.known]
    for expected in (IntentState.SENDING, IntentState.UNKNOWN, IntentState.MANUAL):
        if await book.settle_intent(
            payment.id, doubtful.n, state=intent_state, code=finding.code, at=at, expected=expected
        ):
            break
    else:
        return False
    for intent in await book.intents(payment.id):
        if intent.of == doubtful.n:
            await book.settle_intent(payment.id, intent.n, state=IntentState.DONE, code=finding.code, at=at)
    for state in (PaymentState.DELIVERING, *DOUBTFUL_STATES):
        await book.advance(
            payment.id,
            expected=state,
            state=payment_state,
            at=at,
            back_end=doubtful.back_end,
            response_code=finding.code,
            reason=payment.reason,
        )
    await book.erase_parts(payment.id)
    return True


async def _give_up(
    book: DeliveryBook, payment: Payment, doubtful: Intent, follow_up: Intent | None, reason: str, at: Millis
) -> None:
    """Hand a case to a person, unless what gave up was overtaken: by an outcome, or by a reversal after an inquiry."""
    if follow_up is not None and not await book.settle_intent(
        payment.id, follow_up.n, state=IntentState.MANUAL, code=None, at=at
    ):
        return
    if not await book.settle_intent(
        payment.id, doubtful.n, state=IntentState.MANUAL, code=None, at=at, expected=IntentState.UNKNOWN
    ):
        return
    for state in (PaymentState.UNKNOWN, PaymentState.INQUIRY):
        await book.advance(
            payment.id,
            expected=state,
            state=PaymentState.MANUAL,
            at=at,
            back_end=doubtful.back_end,
            reason=reason,
        )


def _backoff_s(tried: int) -> float:
    return float(min(BACKOFF_FIRST_S * 2 ** min(tried, BACKOFF_DOUBLINGS), BACKOFF_MAX_S))
