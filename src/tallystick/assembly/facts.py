"""Facts about a payment that hold no secret: all that routing may see."""

from enum import StrEnum

from msgspec import Struct


class ElementKind(StrEnum):
    """The four kinds of correlation element (patent claims 4, 9, 10)."""

    PHONE = "phone"
    CODE = "code"
    INSTITUTION = "institution"
    BACKEND = "backend"


class CredentialKind(StrEnum):
    """What the joined parts of a policy are."""

    CARD = "card"
    ACCOUNT = "account"
    LOGIN = "login"


class OrderLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of an order: `quantity` pieces of `text` for `amount` minor units in all."""

    text: str
    quantity: int
    amount: int


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is paid: `amount` in minor units of `currency` (ISO 4217), to `payee`, under the payee's `reference`.

    `lines` say what for; without any the payer sees the amount alone.
    """

    payee: str
    amount: int
    currency: str
    reference: str = ""
    lines: tuple[OrderLine, ...] = ()


class RoutingFacts(Struct, frozen=True, kw_only=True):
    """What the routing decision may know.

    `issuer` holds the leading digits of the card number, at most `limits.ISSUER_DIGITS`; `scheme` names the account
    scheme (the part of the account before the colon); `institution` is the back end chosen by the payer or the element;
    `brand` is the scheme the payer wants a co-badged card to go by. `sandbox`: a payment of test mode, which goes to
    sandbox back ends only.
    """

    kind: CredentialKind
    currency: str
    institution: str | None = None
    issuer: str | None = None
    scheme: str | None = None
    brand: str | None = None
    sandbox: bool = False
    allowed: tuple[str, ...] = ()


class Fate(StrEnum):
    """The one decision over an open payment, written once by compare-and-set."""

    JOINED = "joined"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class PaymentState(StrEnum):
    """Where a payment stands (design: delivery).

    UNKNOWN and INQUIRY are on their way to APPROVED, DECLINED, REVERSED or MANUAL; MANUAL waits for a person.
    """

    OPEN = "open"
    HALF = "half"
    JOINED = "joined"
    DELIVERING = "delivering"
    UNKNOWN = "unknown"
    INQUIRY = "inquiry"
    MANUAL = "manual"
    APPROVED = "approved"
    DECLINED = "declined"
    REVERSED = "reversed"
    REFUSED = "refused"
    UNDELIVERED = "undelivered"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


FINAL_STATES = frozenset(
    {
        PaymentState.APPROVED,
        PaymentState.DECLINED,
        PaymentState.REVERSED,
        PaymentState.REFUSED,
        PaymentState.UNDELIVERED,
        PaymentState.CANCELLED,
        PaymentState.EXPIRED,
    }
)
"""States that never change again."""

DOUBTFUL_STATES = frozenset({PaymentState.UNKNOWN, PaymentState.INQUIRY, PaymentState.MANUAL})
"""States after a send whose outcome nobody knows yet."""

TOLD_STATES = FINAL_STATES | DOUBTFUL_STATES
"""States that those who wait for a payment are told; before them all they learn is that a part was accepted."""
