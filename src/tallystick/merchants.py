"""What a merchant asks of the platform with an API key: the verbs of the merchants' API (docs/reference/merchants.md).

A key never completes a payment: the holder's own half comes over its one channel, the other half over another one.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from tallystick import orders, payers
from tallystick.assembly.facts import PaymentState
from tallystick.assembly.intake import write_order
from tallystick.assembly.model import Payment, Receipt, Refund, Wanted
from tallystick.channels.merchants import is_test, owner_of
from tallystick.channels.model import Channel, ChannelKind, ChannelState, PageKind, Principal, Scope
from tallystick.crypto.signing import HmacKey
from tallystick.delivery.books import Books
from tallystick.errors import AlreadyFinal, Conflict, FieldInvalid, NotFound
from tallystick.outcomes.model import Event, told_reason
from tallystick.path import Accepted, Platform, accept
from tallystick.runtime import Millis, new_id
from tallystick.secret import Secret
from tallystick.security.api_key import part_key
from tallystick.security.model import Arrival, Sender
from tallystick.wire.merchant import (
    MerchantEvent,
    MerchantPayment,
    MerchantPaymentCreated,
    MerchantRefund,
    NewRefund,
    PaymentList,
)
from tallystick.wire.part import WireOrder
from tallystick.wire.payment import NewPayment

REFUNDS_MAX: Final = 50  # refunds of one payment
NAMES_PAYER: Final = frozenset({"pan", "account", "username"})
"""Fields of the part that pays."""
HALF: Final = NAMES_PAYER | {"expiry", "scheme", "order"}
"""All that a holder may send: nothing that proves the payer."""

PageUrl = Callable[[str], str]
"""Where the payer's first page is, given the link's secret, which stands behind `#`."""


async def create(
    platform: Platform, books: Books, principal: Principal, new: NewPayment, now: Millis, page_url: PageUrl | None
) -> MerchantPaymentCreated:
    """Create a payment for a key with the scope `order`.

    1. A key that may only order gets neither code nor link, which are the way to a payment's other half: it names
       where the payer gets the code, FieldInvalid. That is what makes such a key fit for an agent.
    2. The platform can open it: as `orders.open_payment`.
    """
    # 1.
    trusted = Scope.READ in principal.scopes
    if not trusted and (new.payer is None or not (new.payer.phone or new.payer.email)):
        raise FieldInvalid("a key with the scope order alone names where the payer gets the code", field="payer")
    # 2.
    payment, code = await orders.open_payment(platform, books, new, owner_of(principal), now)
    link: str | None = None
    if trusted and page_url is not None:
        secret = await payers.issue(platform, books, payment, PageKind.PC, now)
        link = page_url(secret.reveal())
    shown = await describe(books, payment)
    members = {name: getattr(shown, name) for name in MerchantPayment.__struct_fields__}
    return MerchantPaymentCreated(**members, code=code if trusted else None, page_url=link)


async def send_half(
    platform: Platform, arrival: Arrival, principal: Principal, token: Secret, payment_id: str
) -> Accepted:
    """Accept the half of a payment that its merchant supplies; the caller has found it among the holder's payments.

    1. It comes over the one channel that all keys of a holder are: a second part is refused, SameChannel.
    2. It holds what names the payer, and no secret: a holder's channel may send no other field, FieldNotAllowed.
    3. All else as for every part (`path.accept`), under a key that only who has the API key can derive.
    """
    owner = owner_of(principal)
    # 1., 2.
    channel = Channel(
        id=owner,
        name=principal.holder,
        kind=ChannelKind.MERCHANT,
        state=ChannelState.ACTIVE,
        fields=HALF,
        proves_payer=False,
        algorithm=HmacKey.algorithm,
        sealed_key=b"",
        created_at=arrival.at,
    )
    # 3.
    sender = Sender(id=owner, algorithm=HmacKey.algorithm, sealed_key=b"")
    return await accept(
        platform, arrival, channel=channel, certificate=owner, sender=sender, key=part_key(token), page=payment_id
    )


async def find(books: Books, payment_id: str, owner: str) -> Payment:
    """Find a payment of an owner; raises NotFound for everybody else."""
    payment = await books.payment(payment_id)
    if payment is None or payment.owner != owner:
        raise NotFound("you own no payment with this id")
    return payment


async def describe(books: Books, payment: Payment) -> MerchantPayment:
    """Describe a payment for the merchant that owns it."""
    attached = await books.attachment(payment.id)
    return MerchantPayment(
        id=payment.id,
        livemode=not is_test(payment.owner),
        state=payment.state,
        policy=payment.policy,
        correlation=payment.element.kind,
        order=_order(payment),
        allowed=payment.allowed,
        parts=sum(1 for part in await books.part_facts(payment.id) if part.fields),
        contested=payment.contested,
        created_at=payment.opened_at,
        updated_at=payment.updated_at,
        expires_at=payment.expires_at,
        metadata=attached.metadata if attached else {},
        return_url=attached.return_url if attached else None,
        back_end=payment.back_end,
        response_code=payment.response_code,
        reason=told_reason(payment.reason),
    )


async def list_payments(books: Books, wanted: Wanted, limit: int, cursor: Callable[[int], str]) -> PaymentList:
    """Show one page of an owner's payments; `cursor` writes the place that the next page begins after."""
    found = await books.payments_of(wanted, limit + 1)
    shown = found[:limit]
    more = cursor(shown[-1].seq) if len(found) > limit else None
    return PaymentList(data=tuple([await describe(books, each.payment) for each in shown]), next_cursor=more)


async def tell(books: Books, event: Event) -> MerchantEvent | None:
    """Tell an event with the payment as it is now; None when the payment is gone."""
    payment = await books.payment(event.payment_id)
    if payment is None:
        return None
    return MerchantEvent(
        seq=event.seq,
        type=f"payment.{event.state}",
        livemode=not is_test(payment.owner),
        created_at=event.at,
        payment=await describe(books, payment),
    )


async def refund(platform: Platform, books: Books, payment_id: str, owner: str, new: NewRefund, now: Millis) -> Refund:
    """Record a refund, bound to the receipt of the part that pays, inside a transaction.

    1. The payment is the owner's, and was approved: NotFound, Conflict.
    2. A receipt says which part pays, so that a refund goes back there and nowhere else: Conflict.
    3. All refunds together do not exceed what was paid: AlreadyFinal, FieldInvalid.
    """
    # 1.
    payment = await find(books, payment_id, owner)
    if payment.state is not PaymentState.APPROVED:
        raise Conflict("only an approved payment is refunded")
    # 2.
    receipt = await paying_receipt(books, payment)
    # 3.
    earlier = await books.refunds(payment_id)
    left = _order(payment).amount - sum(each.amount for each in earlier)
    if left <= 0 or len(earlier) >= REFUNDS_MAX:
        raise AlreadyFinal("this payment is refunded")
    amount = left if new.amount is None else new.amount
    if amount > left:
        raise FieldInvalid(f"{left} minor units are left to refund", field="amount")
    made = Refund(
        id=new_id("rfd", platform.randomness),
        payment_id=payment_id,
        part_id=receipt.part_id,
        receipt=hashlib.sha256(receipt.token.encode()).hexdigest(),
        amount=amount,
        reason=new.reason,
        at=now,
    )
    await books.add_refund(made)
    return made


async def paying_receipt(books: Books, payment: Payment) -> Receipt:
    """Return the receipt of the part that names what is charged: card, account or user; raises Conflict."""
    receipts = {each.part_id: each for each in await books.receipts(payment.id)}
    for part in await books.part_facts(payment.id):
        if part.fields & NAMES_PAYER and part.id in receipts and not part.rival:
            return receipts[part.id]
    raise Conflict("no receipt says which part pays: refund it by hand with the back end")


def show_refund(payment: Payment, made: Refund) -> MerchantRefund:
    """Show a refund to its merchant."""
    return MerchantRefund(
        id=made.id,
        livemode=not is_test(payment.owner),
        payment=made.payment_id,
        part=made.part_id,
        receipt_sha256=made.receipt,
        amount=made.amount,
        currency=_order(payment).currency,
        reason=made.reason,
        created_at=made.at,
    )


def _order(payment: Payment) -> WireOrder:
    if payment.order is None:  # a payment with an owner always has one
        raise NotFound("this payment has no order")
    return write_order(payment.order)
