"""The credential path, on one page (docs/credential-path.md): accept a part, carry a joined payment to its back end.

    1 channels  →  2 security  →  3 assembly  →  4 routing  →  5 vault  →  6 delivery

`accept` is steps 1 to 3, ending in one durable transaction: nothing is acknowledged before it. `carry` is steps 4 to 6,
started by the one caller that won the join and, after a crash or while back ends are away, by `sweep`.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct, structs

from tallystick.assembly.content import merge, open_joined, seal_values
from tallystick.assembly.created import check_order, payment_texts
from tallystick.assembly.facts import Order, PaymentState
from tallystick.assembly.intake import Intake, take_in
from tallystick.assembly.join import Filing, file_part
from tallystick.assembly.model import Part, Payment, SplitPolicy
from tallystick.assembly.pins import PIN_FIELD, admit_pin
from tallystick.assembly.ports import ReceiptSigner
from tallystick.assembly.receipt import answer_part, give_receipt
from tallystick.channels.capability import require_started
from tallystick.channels.limiting import count_try
from tallystick.channels.model import Channel, LimitKind
from tallystick.channels.ports import Counter
from tallystick.config import IndependenceStep
from tallystick.crypto import kdf
from tallystick.crypto.binding import bind
from tallystick.crypto.signing import Verifier
from tallystick.delivery import deliver, resolve
from tallystick.delivery.books import Books, Store
from tallystick.delivery.model import Instruction, Intent, IntentState
from tallystick.delivery.ports import Connector, Connectors, OwnNode, RecoveryKeys
from tallystick.errors import CredentialRefused, Forbidden, KeyUnknown, NoRoute, NotFound, NotSent, TooMany, Unavailable
from tallystick.routing.decide import decide
from tallystick.routing.model import BackEnd, Decision, RoutingTable
from tallystick.runtime import Clock, Millis, Randomness, dated_id
from tallystick.secret import Secret
from tallystick.security.idempotency import answer_once
from tallystick.security.model import Arrival, Sender
from tallystick.security.ports import EpochKeys, Keyring, OpeningKeys, Purpose
from tallystick.security.unseal import content_decoder, open_envelope, read_content, read_envelope
from tallystick.security.verify import Verified, verify
from tallystick.vault.model import CardCredential, Credential
from tallystick.vault.obtain import obtain, routing_facts
from tallystick.vault.ports import PinBinder, Stretcher
from tallystick.wire.part import PartContent

EXPIRED: Final = "expired_before_delivery"
NO_BACK_END_UP: Final = "no_back_end_up"
NO_ROUTE: Final = "no_route"
TOO_MANY_ATTEMPTS: Final = "too_many_attempts"

_log = logging.getLogger(__name__)
_content: Final = content_decoder(PartContent)


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything the path works with; `bootstrap` fills it, a simulation fills it with its own."""

    store: Store[Books]
    keyring: Keyring
    opening_keys: OpeningKeys
    epochs: EpochKeys
    recovery_keys: RecoveryKeys
    connectors: Connectors
    stretcher: Stretcher
    pins: PinBinder
    policies: Mapping[str, SplitPolicy]
    counter: Counter
    node: OwnNode
    clock: Clock
    randomness: Randomness
    independence: Sequence[IndependenceStep] = ()
    receipts: ReceiptSigner | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One candidate for one payment; `more` says that others follow."""

    payment: Payment
    order: Order
    back_end: BackEnd
    version: int
    credential: Credential
    more: bool


class Accepted(Struct, frozen=True, kw_only=True):
    """The receipt as sent, and the id of the payment this very part joined, if it did."""

    body: bytes
    joined: str | None = None


class Opened(Struct, frozen=True, kw_only=True):
    """A part's content after check and opening, and the created payment and page's session it came for, if any."""

    target: str
    at: Millis
    verified: Verified
    payment: Payment | None
    clear: bytes
    page: bool
    session: str | None = None


async def accept(
    platform: Platform,
    arrival: Arrival,
    *,
    channel: Channel,
    certificate: str,
    sender: Sender,
    key: Verifier,
    page: str | None = None,
    session: str | None = None,
) -> Accepted:
    """Accept one part: steps 2 and 3, for a channel that step 1 (`channels.admit`) has let in.

    `page` is the payment of a page's session, which sends parts of this one only; `certificate` is then its device.
    A `session` has to be the one that pays when the part is filed, too: LinkRefused.

    Raises a Refused of errors.py for anything wrong with the message: nothing was stored. Raises StoreFailed when the
    part could not be made durable: nothing was acknowledged.
    """
    verified = verify(arrival, sender, key)
    envelope = read_envelope(arrival)
    payment = await _created(platform.store, envelope.payment, page)
    clear = open_envelope(envelope, arrival, verified, platform.opening_keys, _bound(payment))
    opened = Opened(
        target=arrival.target,
        at=arrival.at,
        verified=verified,
        payment=payment,
        clear=clear,
        page=page is not None,
        session=session,
    )
    return await accept_opened(platform, opened, channel=channel, certificate=certificate)


async def accept_opened(platform: Platform, opened: Opened, *, channel: Channel, certificate: str) -> Accepted:
    """Accept a part whose message was verified and opened; for `accept`, and for parts that test mode plays."""
    payment, verified, at = opened.payment, opened.verified, opened.at
    content = read_content(opened.clear, _content)
    own = payment.element if payment and opened.page else None
    taken = take_in(content, channel, platform.policies, platform.keyring.readable(Purpose.BLIND_INDEX), own)
    platform.counter.count(LimitKind.ELEMENT, channel.id.encode() + taken.element.digest)  # a flood shuts out itself
    part = _part(platform, taken, _bound(payment), channel.id, certificate, at)
    filing = Filing(
        part=part,
        element=taken.element,
        order=taken.values.order,
        new_payment=dated_id("pay", platform.randomness, at),
        named_payment=payment.id if payment else None,
        independence=platform.independence,
    )

    async def work(books: Books) -> Accepted:
        joined: str | None = None

        async def file() -> bytes:
            nonlocal joined
            if opened.session is not None:
                await require_started(books, opened.session)
            filed = await file_part(books, platform.epochs, filing, taken.policy, at)
            joined = filed.payment_id if filed.joined else None
            if (entered := taken.values.fields.get(PIN_FIELD)) is not None:
                await admit_pin(books, entered, part=part, payment_id=filed.payment_id)
            return answer_part(part, taken.warnings, await give_receipt(books, platform.receipts, part, payment))

        asked = bind(opened.target, *_bound(payment)) + opened.clear
        body = await answer_once(books, platform.epochs, verified, asked, at, file)
        return Accepted(body=body, joined=joined)

    return await platform.store.transact(work)


async def carry(platform: Platform, payment_id: str) -> None:
    """Carry a joined payment to its back end: steps 4 to 6.

    Returns when the payment has a final state, or stays JOINED because no candidate could be reached, or because this
    node's lease is over: `sweep` calls again, here or in another node. Safe to call at any time and by anybody: only
    the winner of the intent's compare-and-set sends.
    """
    payment, parts, table = await platform.store.read(lambda books: _load(books, payment_id))
    if payment is None or payment.state is not PaymentState.JOINED or payment.order is None:
        return
    if platform.clock.now() >= payment.expires_at:
        await _end(platform, payment, PaymentState.UNDELIVERED, EXPIRED)
        return
    try:
        opened = open_joined(payment, parts, platform.epochs, payment_texts(payment))
        check_order(platform.keyring, payment, opened)
        fields = merge(platform.policies[payment.policy], opened)
        decision = _route(platform, payment, payment.order, table, fields)
        await _deliver_to_first(platform, payment, payment.order, decision, fields)
    except CredentialRefused as refusal:
        await _end(platform, payment, PaymentState.REFUSED, refusal.reason)
    except NoRoute:
        await _end(platform, payment, PaymentState.REFUSED, NO_ROUTE)
    except TooMany:
        await _end(platform, payment, PaymentState.UNDELIVERED, TOO_MANY_ATTEMPTS)
    except KeyUnknown:
        await _end(platform, payment, PaymentState.UNDELIVERED, EXPIRED)
    except (Unavailable, NotSent) as busy:
        _log.warning("payment %s waits: %s", payment.id, busy.code)


async def _load(books: Books, payment_id: str) -> tuple[Payment | None, list[Part], RoutingTable]:
    table = await books.routing_table()  # kept, as a rule: whether it is the newest is asked with what follows
    return await books.payment(payment_id), await books.sealed_parts(payment_id), table


def _route(
    platform: Platform, payment: Payment, order: Order, table: RoutingTable, fields: Mapping[str, Secret]
) -> Decision:
    kind = platform.policies[payment.policy].kind
    return decide(routing_facts(kind, fields, payment, order.currency), table)


async def _deliver_to_first(
    platform: Platform, payment: Payment, order: Order, decision: Decision, fields: Mapping[str, Secret]
) -> None:
    """Try the candidates in rank order; the next one only when nothing was sent, or nothing took effect."""
    last = len(decision.candidates) - 1
    for rank, back_end in enumerate(decision.candidates):
        credential = await obtain(
            platform.policies[payment.policy].kind,
            fields,
            back_end=back_end,
            claimed_by=payment.user_id,
            payment_id=payment.id,
            pins=platform.pins,
            store=platform.store,
            keyring=platform.keyring,
            stretcher=platform.stretcher,
            clock=platform.clock,
        )
        attempt = Attempt(payment, order, back_end, decision.version, credential, more=rank < last)
        if await _attempt(platform, attempt):
            return
    if not decision.candidates:
        await _note(platform, payment, NO_BACK_END_UP)


async def _attempt(platform: Platform, attempt: Attempt) -> bool:
    """Make one attempt; True when no other candidate may be tried."""
    payment, back_end = attempt.payment, attempt.back_end
    connector = await _connector(platform, back_end, payment.id)
    if connector is None:
        await _note(platform, payment, deliver.NOT_SENT)
        return False
    intent = await platform.store.transact(lambda books: _intend(platform, books, attempt, connector))
    if intent is None:
        return True
    instruction = Instruction(
        payment_id=payment.id,
        order=attempt.order,
        ids=intent.ids,
        credential=attempt.credential,
        expires_at=payment.expires_at,
    )
    outcome = await deliver.send(
        connector, instruction, node=platform.node, clock=platform.clock, randomness=platform.randomness
    )
    case = await platform.store.transact(
        lambda books: _settle(platform, books, intent, outcome, connector, more=attempt.more)
    )
    if case is not None:
        await settle_doubt(platform, connector, case)
    return not (outcome.state is IntentState.NOT_SENT or (outcome.elsewhere and attempt.more))


async def settle_doubt(platform: Platform, connector: Connector | None, case: resolve.Case | None) -> None:
    """Inquire or reverse once, and at once go on to the reversal that an inquiry leads to."""
    while case is not None:
        case = await resolve.pursue(
            platform.store,
            connector,
            case,
            keys=platform.recovery_keys,
            clock=platform.clock,
            randomness=platform.randomness,
            blind_key=platform.keyring.key(Purpose.BLIND_INDEX),
        )


async def _connector(platform: Platform, back_end: BackEnd, payment_id: str) -> Connector | None:
    try:
        return await platform.connectors.connector(back_end)
    except Exception as error:  # noqa: BLE001 - whatever kept us from the connector, nothing was sent over it
        _log.warning("payment %s finds no connector to %s: %s", payment_id, back_end.id, type(error).__name__)
        return None


async def _intend(platform: Platform, books: Books, attempt: Attempt, connector: Connector) -> Intent | None:
    at = platform.clock.now()  # here, not before: the transaction may have waited past the payment's expiry
    platform.node.require_lease()
    payment = attempt.payment
    intent = await deliver.record_intent(
        books,
        payment,
        attempt.back_end.id,
        attempt.version,
        at=at,
        node=platform.node.id,
        blind_key=platform.keyring.key(Purpose.BLIND_INDEX),
        account=deliver.seal_account(connector, attempt.credential, payment.id, platform.recovery_keys, at),
    )
    if intent is not None:
        kind = LimitKind.CREDENTIAL
        await count_try(books, kind, platform.counter.limit(kind), _subject(platform, attempt.credential), at)
    return intent


def _subject(platform: Platform, credential: Credential) -> bytes:
    """Return the keyed digest under which tries with a card or account are counted."""
    value = credential.pan if isinstance(credential, CardCredential) else credential.account
    return kdf.digest(platform.keyring.key(Purpose.ACCESS), "try", type(credential).__name__, value.reveal())


async def _settle(
    platform: Platform,
    books: Books,
    intent: Intent,
    outcome: deliver.Outcome,
    connector: Connector,
    *,
    more: bool,
) -> resolve.Case | None:
    """Record the outcome; an unknown one together with the inquiry or reversal that will settle it."""
    at = platform.clock.now()
    if not await deliver.settle(books, intent, outcome, at, more=more):
        await resolve.told_late(books, intent, outcome, at)
        return None
    if outcome.state is not IntentState.UNKNOWN:
        return None
    blind_key = platform.keyring.key(Purpose.BLIND_INDEX)
    try:
        return await resolve.plan(books, intent.payment_id, connector.recovery, at=at, blind_key=blind_key)
    except TooMany:
        return None  # no trace number this hour: the doubt is recorded all the same, and the sweep plans it again


async def _end(platform: Platform, payment: Payment, state: PaymentState, reason: str) -> None:
    async def end(books: Books) -> None:
        at = platform.clock.now()
        if await books.advance(payment.id, expected=PaymentState.JOINED, state=state, at=at, reason=reason):
            await books.erase_parts(payment.id)

    await platform.store.transact(end)


async def _note(platform: Platform, payment: Payment, reason: str) -> None:
    async def note(books: Books) -> None:
        joined, at = PaymentState.JOINED, platform.clock.now()
        await books.advance(payment.id, expected=joined, state=joined, at=at, reason=reason)

    await platform.store.transact(note)


async def _created(store: Store[Books], payment_id: str | None, page: str | None) -> Payment | None:
    """Return the created payment that an envelope names; a page names its own, or its part is refused."""
    if page is not None and payment_id != page:
        raise Forbidden("a page sends parts of its own payment only", field="payment")
    if payment_id is None:
        return None
    payment = await store.read(lambda books: books.payment(payment_id))
    if payment is None or payment.order is None or payment.owner is None:
        raise NotFound("no payment with this id takes parts", field="payment")
    return payment


def _bound(payment: Payment | None) -> tuple[str, ...]:
    return payment_texts(payment) if payment else ()


def _part(
    platform: Platform, taken: Intake, bound: tuple[str, ...], channel_id: str, certificate: str, at: Millis
) -> Part:
    epoch, part_id = platform.epochs.current(at), dated_id("part", platform.randomness, at)
    values = structs.replace(taken.values, bound=bound)
    return Part(
        id=part_id,
        payment_id="",
        channel_id=channel_id,
        certificate=certificate,
        fields=taken.names,
        received_at=at,
        epoch=epoch,
        sealed=seal_values(values, platform.epochs.key(epoch), part_id),
    )
