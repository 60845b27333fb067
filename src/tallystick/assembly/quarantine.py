"""Quarantine: rival candidates wait side by side until the payer's proven channel decides (design: joining).

Two parts are rivals when both hold a value for the same field, or orders that differ. Values are never compared: a
second candidate for a secret is a rival even when it is equal, so an answer can never be used to test a guess.
"""

from typing import Protocol

from msgspec import Struct, structs

from tallystick.assembly.facts import Order
from tallystick.assembly.model import PartFacts, Payment
from tallystick.assembly.policy import ORDER_FIELD
from tallystick.assembly.ports import PaymentBook
from tallystick.channels.ports import ChannelBook
from tallystick.errors import NotFound


class QuarantineBook(PaymentBook, ChannelBook, Protocol):
    """What a quarantine reads and writes."""


class Contest(Struct, frozen=True, kw_only=True):
    """The parts that still count, the ids of those that are rivals, and the id of a part that just won, if any."""

    live: list[PartFacts]
    rivals: frozenset[str]
    winner: str | None = None


async def contest(
    book: QuarantineBook, payment: Payment, earlier: list[PartFacts], part: PartFacts, order: Order | None
) -> Contest:
    """Find the rivals after a part was filed; a part of a channel that proves the payer wins at once."""
    order_differs = order is not None and payment.order is not None and order != payment.order
    against = [other for other in earlier if _compete(other, part, order_differs=order_differs)]
    if not against and not any(other.rival for other in earlier):
        return Contest(live=[*earlier, part], rivals=frozenset())
    marked = {other.id for other in against} | ({part.id} if against else set())
    parts = [structs.replace(other, rival=other.rival or other.id in marked) for other in (*earlier, part)]
    proven = [other for other in parts if other.rival and await _proves(book, other)]
    if len(proven) == 1:
        return await settle(book, payment.id, parts, proven[0].id)
    rivals = frozenset(other.id for other in parts if other.rival)
    await book.mark_rivals(payment.id, rivals)
    return Contest(live=parts, rivals=rivals)


async def settle(book: QuarantineBook, payment_id: str, parts: list[PartFacts], chosen_id: str) -> Contest:
    """Keep one rival and drop those that competed with it; raises NotFound when it is not a rival of this payment."""
    chosen = next((part for part in parts if part.id == chosen_id and part.rival), None)
    if chosen is None:
        raise NotFound("this part is not a candidate of this payment", field="part")
    losers = {part.id for part in parts if part.rival and part.id != chosen.id and part.fields & chosen.fields}
    for loser in losers:
        await book.drop_part(loser)
    live = [part for part in parts if part.id not in losers]
    rivals = frozenset(part.id for part in live if part.rival and _competes_with_any(part, live))
    await book.mark_rivals(payment_id, rivals)
    return Contest(live=live, rivals=rivals, winner=chosen.id)


def _compete(one: PartFacts, other: PartFacts, *, order_differs: bool) -> bool:
    shared = one.fields & other.fields
    return bool(shared - {ORDER_FIELD}) or (order_differs and ORDER_FIELD in shared)


def _competes_with_any(part: PartFacts, live: list[PartFacts]) -> bool:
    return any(other.rival and other.id != part.id and other.fields & part.fields for other in live)


async def _proves(book: QuarantineBook, part: PartFacts) -> bool:
    channel = await book.channel(part.channel_id)
    return channel is not None and channel.proves_payer
