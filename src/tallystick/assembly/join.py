"""File a part under its correlation element and join exactly once (patent claims 1, 2, 8 to 10).

One call runs inside one store transaction: in any order of arrival, whatever is retried, one caller wins the join.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct, structs

from tallystick import limits
from tallystick.assembly import policy as policies
from tallystick.assembly.content import open_values
from tallystick.assembly.facts import ElementKind, Fate, Order, PaymentState
from tallystick.assembly.independence import needed, require_independence
from tallystick.assembly.model import Claim, Element, Part, PartFacts, Payment, SplitPolicy
from tallystick.assembly.ports import ClaimBook, PaymentBook
from tallystick.assembly.quarantine import Contest, Orders, contest, proves, settle
from tallystick.channels.ports import CapabilityBook, ChannelBook
from tallystick.config import IndependenceStep
from tallystick.errors import AlreadyFinal, SameChannel, Unprocessable
from tallystick.runtime import Millis
from tallystick.security.ports import EpochKeys


class AssemblyBook(PaymentBook, ClaimBook, ChannelBook, CapabilityBook, Protocol):
    """All that filing a part reads and writes."""


class Filing(Struct, frozen=True, kw_only=True):
    """A part about to be filed; `new_payment` is the id to use if this part opens one.

    `named_payment` is the created payment that the envelope was bound to, if any. `independence` is the
    operator's table of least scores.
    """

    part: Part
    element: Element
    order: Order | None
    new_payment: str
    named_payment: str | None = None
    independence: Sequence[IndependenceStep] = ()


class Filed(Struct, frozen=True, kw_only=True):
    """Where a part went, and whether this very call won the join."""

    payment_id: str
    joined: bool


async def file_part(book: AssemblyBook, keys: EpochKeys, filing: Filing, policy: SplitPolicy, now: Millis) -> Filed:
    """File a part; join when it completes an uncontested set.

    1. The element selects the payment; an element nobody issued opens one that never joins, with the same answer.
    2. The same channel or certificate never supplies a second part: SameChannel. A part that came too much like
       another one, for this amount, is refused: NotIndependent.
    3. Rival candidates never overwrite each other: both wait in quarantine.
    4. Order and parts agree and are complete, and the time is not over: fate is decided once.
    """
    # 1.
    claim = Claim() if filing.element.kind is ElementKind.PHONE else await book.claim(filing.element, now)
    payment = await _select(book, filing.element, claim, policy, now)
    if payment is None:
        return await _open(book, filing, claim, policy, now)
    if filing.named_payment not in {None, payment.id}:
        raise Unprocessable("the element is not that of the payment the envelope names", field="element")
    earlier = await _live(book, payment.id)
    part = structs.replace(filing.part, payment_id=payment.id)
    # 2.
    _refuse_same_channel(part, earlier)
    order = payment.order or filing.order
    if order is not None:
        least = needed(filing.independence, order.amount, order.currency)
        await require_independence(book, part, earlier, least)
    # 3.
    if await _is_beyond_hope(book, part, filing.order, payment, earlier):
        await book.add_part(structs.replace(part, fields=frozenset(), sealed=b""))
        return Filed(payment_id=payment.id, joined=False)
    orders = _orders(earlier, keys)
    if filing.order is not None:
        orders[part.id] = filing.order
    await book.add_part(part)
    outcome = await contest(book, payment.id, [*earlier, part], orders)
    # 4.
    timed = structs.replace(payment, expires_at=_expiry(payment, earlier, now))
    return await _conclude(book, timed, policy, outcome, orders, now)


async def choose(
    book: AssemblyBook, keys: EpochKeys, payment: Payment, policy: SplitPolicy, part_id: str, now: Millis
) -> Filed:
    """Settle a quarantine for one part and join if that completes the set (the payer's proven channel decides).

    The caller has checked that the sender proves the payer. A payment whose time is over is left as it is. Raises
    NotFound when the part is not a waiting candidate of this payment.
    """
    if payment.expires_at <= now:
        return Filed(payment_id=payment.id, joined=False)
    live = await _live(book, payment.id)
    orders = _orders(live, keys)
    outcome = await settle(book, payment.id, live, orders, part_id)
    return await _conclude(book, payment, policy, outcome, orders, now)


async def still_open(book: PaymentBook, element: Element, policy: SplitPolicy, now: Millis) -> Payment | None:
    """Find the payment that waits under an element; one whose time is over expires here, before the sweep sees it."""
    payment = await book.open_payment(element, policy.name)
    if payment is None or payment.expires_at > now:
        return payment
    await book.decide_fate(payment.id, Fate.EXPIRED, now)
    await book.erase_parts(payment.id)
    return None


async def _conclude(
    book: AssemblyBook, payment: Payment, policy: SplitPolicy, outcome: Contest, orders: Orders, now: Millis
) -> Filed:
    """Record what the parts amount to now, and join when uncontested parts and an order make the whole."""
    order = _order(payment, outcome, orders)
    contested = bool(outcome.rivals)
    await book.note_part(payment.id, order=order, contested=contested, expires_at=payment.expires_at)
    if contested or order is None or not payment.claimed:
        return Filed(payment_id=payment.id, joined=False)
    whole = policies.is_complete(policy, [part.fields - {policies.ORDER_FIELD} for part in outcome.live])
    joined = whole and await book.decide_fate(payment.id, Fate.JOINED, now)
    return Filed(payment_id=payment.id, joined=joined)


async def _live(book: AssemblyBook, payment_id: str) -> list[Part]:
    """List the parts that count: until its fate is decided, a payment's live parts all have their content."""
    return [part for part in await book.sealed_parts(payment_id) if part.fields]


def _orders(live: Sequence[Part], keys: EpochKeys) -> dict[str, Order]:
    opened = {part.id: open_values(part, keys).order for part in live if policies.ORDER_FIELD in part.fields}
    return {part_id: order for part_id, order in opened.items() if order is not None}


def _order(payment: Payment, outcome: Contest, orders: Orders) -> Order | None:
    """Return the order the payment was created with, or that of its live parts: a loser's order goes with the loser."""
    if payment.owner is not None:
        return payment.order
    return next((orders[part.id] for part in outcome.live if part.id in orders), None)


async def _select(
    book: AssemblyBook, element: Element, claim: Claim | None, policy: SplitPolicy, now: Millis
) -> Payment | None:
    if claim is not None and claim.payment_id is not None:
        return await _created(book, claim.payment_id, policy, now)
    return await still_open(book, element, policy, now)


async def _open(book: AssemblyBook, filing: Filing, claim: Claim | None, policy: SplitPolicy, now: Millis) -> Filed:
    """Open a payment with its first part; no policy is complete with one."""
    if filing.named_payment is not None:
        raise Unprocessable("the element is not that of the payment the envelope names", field="element")
    payment = Payment(
        id=filing.new_payment,
        policy=policy.name,
        element=filing.element,
        claimed=claim is not None and filing.element.kind is not ElementKind.CODE,
        user_id=claim.user_id if claim else None,
        opened_at=now,
        expires_at=Millis(now + limits.SECRET_LIFE_MS),
        state=PaymentState.HALF,
        order=filing.order,
        updated_at=now,
    )
    await book.add_payment(payment)
    await book.add_part(structs.replace(filing.part, payment_id=payment.id))
    return Filed(payment_id=payment.id, joined=False)


async def _created(book: AssemblyBook, payment_id: str, policy: SplitPolicy, now: Millis) -> Payment:
    payment = await book.payment(payment_id)
    if payment is None or payment.fate is not None or payment.expires_at <= now:
        raise AlreadyFinal("the payment of this code takes no more parts")
    if payment.policy != policy.name:
        raise Unprocessable("the payment of this code has another split policy", field="policy")
    return payment


def _refuse_same_channel(part: PartFacts, earlier: Sequence[PartFacts]) -> None:
    for other in earlier:
        same = other.channel_id == part.channel_id or other.certificate == part.certificate
        if same and not (other.fields & part.fields) - {policies.ORDER_FIELD}:
            raise SameChannel("this channel already supplied another part of this payment")


async def _is_beyond_hope(
    book: AssemblyBook, part: PartFacts, order: Order | None, payment: Payment, earlier: Sequence[PartFacts]
) -> bool:
    """Tell whether a part can never be used: it contradicts the order its payment was created with, or is one too many.

    It is kept as a fact without content and answered like any other, so that a guesser learns nothing. A crowd of
    guessers does not shut out the channel that proves the payer: its own parts are counted apart.
    """
    if payment.owner is not None and order is not None and order != payment.order:
        return True
    if len(earlier) < limits.CANDIDATES_MAX:
        return False
    proven = [other for other in earlier if await proves(book, other)]
    return not await proves(book, part) or len(proven) >= limits.CANDIDATES_MAX


def _expiry(payment: Payment, earlier: Sequence[PartFacts], now: Millis) -> Millis:
    """Return when the payment ends: secrets live SECRET_LIFE_MS from the first one on."""
    first = min((part.received_at for part in earlier), default=now)
    return Millis(min(payment.expires_at, first + limits.SECRET_LIFE_MS))
