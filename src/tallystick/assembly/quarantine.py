"""Quarantine: rival candidates wait side by side until the payer's proven channel decides (design: joining).

Two parts are rivals when both hold a value for the same field, or orders that differ. Values are never compared: a
second candidate for a secret is a rival even when it is equal, so an answer can never be used to test a guess.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from tallystick.assembly.facts import Order
from tallystick.assembly.model import PartFacts
from tallystick.assembly.policy import ORDER_FIELD
from tallystick.assembly.ports import PaymentBook
from tallystick.channels.ports import ChannelBook
from tallystick.errors import NotFound


class QuarantineBook(PaymentBook, ChannelBook, Protocol):
    """What a quarantine reads and writes."""


class Contest(Struct, frozen=True, kw_only=True):
    """The parts that still count, in order of arrival, and the ids of those that are rivals."""

    live: Sequence[PartFacts]
    rivals: frozenset[str]


Orders = Mapping[str, Order]
"""The order that each live part brought, by part id; a part that brought none is not in it."""


async def contest(book: QuarantineBook, payment_id: str, parts: Sequence[PartFacts], orders: Orders) -> Contest:
    """Find the rivals after a part was filed; the part of a channel that proves the payer wins at once."""
    rivals = _rivals(parts, orders)
    if rivals:
        proven = [part for part in parts if part.id in rivals and await proves(book, part)]
        if len(proven) == 1:
            return await settle(book, payment_id, parts, orders, proven[0].id)
        await book.mark_rivals(payment_id, rivals)
    return Contest(live=parts, rivals=rivals)


async def settle(
    book: QuarantineBook, payment_id: str, parts: Sequence[PartFacts], orders: Orders, chosen_id: str
) -> Contest:
    """Keep one rival and drop those that competed with it; raises NotFound when it is not a rival of this payment."""
    before = _rivals(parts, orders)
    chosen = next((part for part in parts if part.id == chosen_id and part.id in before), None)
    if chosen is None:
        raise NotFound("this part is not a candidate of this payment", field="part")
    losers = {part.id for part in parts if _compete(part, chosen, orders)}
    for loser in losers:
        await book.drop_part(loser)
    live = [part for part in parts if part.id not in losers]
    rivals = _rivals(live, orders)
    await book.mark_rivals(payment_id, rivals)
    return Contest(live=live, rivals=rivals)


async def proves(book: QuarantineBook, part: PartFacts) -> bool:
    """Tell whether a part came over a channel that proves the payer."""
    channel = await book.channel(part.channel_id)
    return channel is not None and channel.proves_payer


def _rivals(parts: Sequence[PartFacts], orders: Orders) -> frozenset[str]:
    return frozenset(one.id for one in parts if any(_compete(one, other, orders) for other in parts))


def _compete(one: PartFacts, other: PartFacts, orders: Orders) -> bool:
    if one.id == other.id:
        return False
    order_differs = one.id in orders and other.id in orders and orders[one.id] != orders[other.id]
    return order_differs or bool((one.fields & other.fields) - {ORDER_FIELD})
