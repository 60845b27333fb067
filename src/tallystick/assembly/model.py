"""Payments, parts and their correlation elements."""

from msgspec import Struct

from tallystick.assembly.facts import CredentialKind, ElementKind, Fate, Order, PaymentState
from tallystick.runtime import Millis


class Element(Struct, frozen=True, kw_only=True):
    """A correlation element as it is stored: only its keyed digest (patent claim 2).

    `institution` is the back end's id where the element names one (kinds `institution` and `backend`). `others` are the
    digests under the keys that are not active: what is looked up may be stored under any of them, `digest` first.
    """

    kind: ElementKind
    digest: bytes
    institution: str | None = None
    others: tuple[bytes, ...] = ()

    @property
    def digests(self) -> tuple[bytes, ...]:
        """All digests by which the element may be found."""
        return (self.digest, *self.others)


class Claim(Struct, frozen=True, kw_only=True):
    """What a platform- or back-end-made element stands for; a phone number needs none.

    `payment_id` for a per-transaction code, `user_id` for a dynamic number.
    """

    institution: str | None = None
    payment_id: str | None = None
    user_id: str | None = None


class PartShape(Struct, frozen=True, forbid_unknown_fields=True):
    """The fields one part must and may hold."""

    required: frozenset[str]
    optional: frozenset[str] = frozenset()


class SplitPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a credential is split: data, not code.

    Either `parts` lists the shape of each part, or `shares` ≥ 2 says into how many XOR shares the whole is split.
    """

    name: str
    kind: CredentialKind
    parts: tuple[PartShape, ...] = ()
    shares: int = 0


class PartFacts(Struct, frozen=True, kw_only=True):
    """A filed part without its content: `fields` are names, none for a part that lost; a `rival` is in quarantine."""

    id: str
    payment_id: str
    channel_id: str
    certificate: str
    fields: frozenset[str]
    received_at: Millis
    rival: bool = False


class Part(PartFacts, frozen=True, kw_only=True):
    """A filed part with its content sealed under the at-rest key of `epoch`."""

    epoch: str
    sealed: bytes


class Payment(Struct, frozen=True, kw_only=True):
    """One transaction: the element it is found by, what is paid, and where it stands.

    `claimed` is False for an element nobody issued: such a payment looks like any other from outside and never joins.
    `owner` is the channel or institution that created it by POST /v1/payments, None when the first part opened it.
    `contested` means rival candidates wait for the payer's proven channel. `order_mac` is over what it was created with
    (`created.protect_order`).
    """

    id: str
    policy: str
    element: Element
    claimed: bool
    opened_at: Millis
    expires_at: Millis
    state: PaymentState = PaymentState.OPEN
    fate: Fate | None = None
    contested: bool = False
    owner: str | None = None
    user_id: str | None = None
    order: Order | None = None
    allowed: tuple[str, ...] = ()
    back_end: str | None = None
    response_code: str | None = None
    reason: str | None = None
    updated_at: Millis
    order_mac: bytes | None = None


class Attachment(Struct, frozen=True, kw_only=True):
    """What a merchant attached to a payment of its own: the platform keeps it, and acts on none of it."""

    payment_id: str
    metadata: dict[str, str] = {}
    return_url: str | None = None


class Receipt(Struct, frozen=True, kw_only=True):
    """What the platform signed about an accepted part of a created payment: `token` is a JWS by the identity key."""

    part_id: str
    payment_id: str
    token: str


class Refund(Struct, frozen=True, kw_only=True):
    """A refund asked for: bound to the part that pays by the digest of its receipt.

    It is recorded, and carried out by the operator with the back end: no connector sends refunds.
    """

    id: str
    payment_id: str
    part_id: str
    receipt: str
    amount: int
    reason: str
    at: Millis


class Listed(Struct, frozen=True, kw_only=True):
    """A payment in a list; `seq` is its place, newer ones have higher ones."""

    seq: int
    payment: Payment


class Wanted(Struct, frozen=True, kw_only=True):
    """Which payments of an owner a list shows: those before the place `before`, in one state, of a time."""

    owner: str
    before: int | None = None
    state: PaymentState | None = None
    since: Millis | None = None
    until: Millis | None = None
