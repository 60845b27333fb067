"""The read side: what a sender may learn about a part, and an owner about a payment."""

from typing import Final

from msgspec.structs import replace

from tallystick import limits
from tallystick.assembly.facts import TOLD_STATES, PaymentState
from tallystick.assembly.intake import write_order
from tallystick.assembly.model import Payment
from tallystick.delivery.books import Books
from tallystick.errors import NotFound
from tallystick.outcomes.model import counts, shown_to_senders, told_reason
from tallystick.runtime import Millis
from tallystick.wire.part import PartStatus
from tallystick.wire.payment import PaymentStatus

_ACCEPTED: Final = "accepted"


async def part_status(books: Books, part_id: str, channel_id: str, now: Millis) -> PartStatus:
    """Tell a part's own sender how its payment ended, or that the outcome is not known yet.

    Until then the answer is always `accepted`: it never tells whether another part exists. A part that is not among
    those that count (a loser, a rival, one too many) is accepted and then expired, like one under an element that
    nobody issued: a guesser never learns of the payment it did not become part of. The reason of a refusal stays
    inside: a sender who guesses passwords or numbers learns only that the payment was refused. Raises NotFound for
    another channel's part.
    """
    part = await books.part(part_id)
    if part is None or part.channel_id != channel_id:
        raise NotFound("you sent no part with this id")
    if not counts(part):
        over = now >= part.received_at + limits.SECRET_LIFE_MS
        return PartStatus(part=part_id, status=PaymentState.EXPIRED if over else _ACCEPTED)
    payment = await books.payment(part.payment_id)
    if payment is None or payment.state not in TOLD_STATES:
        return PartStatus(part=part_id, status=_ACCEPTED)
    status = shown_to_senders(payment.state)
    return PartStatus(part=part_id, status=status, response_code=payment.response_code)


async def payment_status(books: Books, payment_id: str, owner: str) -> PaymentStatus:
    """Tell a payment's owner where it stands; raises NotFound for everybody else."""
    payment = await books.payment(payment_id)
    if payment is None or payment.owner != owner:
        raise NotFound("you own no payment with this id")
    told = await describe(books, payment)
    return replace(told, reason=told_reason(told.reason))


async def describe(books: Books, payment: Payment) -> PaymentStatus:
    """Describe a payment for its owner or the operator: no part's content, no number."""
    order = payment.order
    return PaymentStatus(
        payment=payment.id,
        state=payment.state,
        policy=payment.policy,
        correlation=payment.element.kind,
        parts=sum(1 for part in await books.part_facts(payment.id) if part.fields),
        contested=payment.contested,
        opened_at=payment.opened_at,
        expires_at=payment.expires_at,
        order=write_order(order) if order else None,
        back_end=payment.back_end,
        response_code=payment.response_code,
        reason=payment.reason,
    )
