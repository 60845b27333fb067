"""What a back end tells by itself about a request: who reads it, and how it settles (design: delivery)."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from msgspec import Struct

from tallystick.delivery.deliver import DeliveryBook, named_request
from tallystick.delivery.model import Finding
from tallystick.delivery.resolve import notified
from tallystick.errors import Conflict
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis
from tallystick.security.model import Arrival


class Paid(Struct, frozen=True, kw_only=True):
    """What a back end says was paid; `amount` in minor units."""

    amount: int
    currency: str


class Notification(Struct, frozen=True, kw_only=True):
    """What a back end tells about the request that `key` names; `paid` where its protocol names the amount."""

    key: str
    finding: Finding
    paid: Paid | None = None


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """The answer to a notification, in the back end's own manner; header names are lower-case."""

    headers: Mapping[str, str]
    body: bytes


@runtime_checkable
class Notifier(Protocol):
    """A connector whose back end tells outcomes by itself, signed in a manner of its own."""

    def read_notification(self, arrival: Arrival) -> Notification:
        """Verify a message as this back end's own, and fresh, then read it.

        Raises SignatureInvalid when it is not proven to be, Malformed when it cannot be read: nothing changes.
        """
        ...

    def acknowledge(self, arrival: Arrival, notification: Notification) -> Acknowledgement:
        """Write the answer that tells the back end not to repeat the message."""
        ...


class Notifiers(Protocol):
    """The back ends that tell outcomes by themselves."""

    async def notified_by(self, institution: str) -> tuple[BackEnd, Notifier]:
        """Return the back end and its connector; raises NotFound when there is none that takes notifications."""
        ...


async def take(book: DeliveryBook, back_end: str, notification: Notification, at: Millis) -> bool:
    """Settle by a notification: True when it settled something; safe to repeat.

    1. As `resolve.notified`: NotFound for a key that is not of this back end.
    2. What was paid, when it is named, is what was asked: Conflict, which undoes 1. Without an order nothing was.

    Left to the caller: that the message is the back end's, and fresh.
    """
    # 1.
    settled = await notified(book, back_end, notification.key, notification.finding, at)
    # 2.
    payment_id = told_payment(notification)
    payment = await book.payment(payment_id)
    order = payment.order if payment is not None else None
    paid = notification.paid
    asked = (order.amount, order.currency) if order is not None else None
    if paid is not None and (paid.amount, paid.currency) != asked:
        raise Conflict("what was paid is not what was asked")
    return settled


def told_payment(notification: Notification) -> str:
    """Return the id of the payment that a notification is about; empty when its key names none."""
    return (named_request(notification.key) or ("", 0))[0]
