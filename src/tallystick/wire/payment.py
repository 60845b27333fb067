"""The JSON of payments, choices, and of what institutions set."""

from typing import Literal

from msgspec import Struct

from tallystick.secret import Secret
from tallystick.wire.part import WireElement, WireOrder


class Recipient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the payer gets the code; at least one is set."""

    phone: str | None = None
    email: str | None = None


class NewPayment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of `POST /v1/payments`.

    Its parts are joined by the code that the platform makes, answers, and sends to `payer`: `correlation` has no other
    value, for whoever creates a payment could else occupy a phone number that is not theirs. `allowed` limits the back
    ends by institution id; `expires_in` is in seconds. `metadata` and `return_url` are kept and given back.
    """

    policy: str
    order: WireOrder
    payer: Recipient | None = None
    allowed: tuple[str, ...] = ()
    expires_in: int = 900
    correlation: Literal["code"] = "code"
    metadata: dict[str, str] = {}
    return_url: str | None = None


class PaymentCreated(Struct, frozen=True, kw_only=True):
    """The answer: the id, when it ends, and the code that its parts carry."""

    payment: str
    expires_at: int
    code: str


class PinTokenGiven(Struct, frozen=True, kw_only=True):
    """The answer to `POST /v1/pin-tokens`: a number to build one format 4 PIN block over, and until when."""

    token: str
    expires_at: int


class PaymentStatus(Struct, frozen=True, kw_only=True):
    """What a payment's owner may see. No part's content, no full number."""

    payment: str
    state: str
    policy: str
    correlation: str
    parts: int
    contested: bool
    opened_at: int
    expires_at: int
    order: WireOrder | None = None
    back_end: str | None = None
    response_code: str | None = None
    reason: str | None = None


class Choice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `POST /v1/choices`: the payer's proven channel lists rivals, or chooses one by part id."""

    policy: str
    element: WireElement
    part: str | None = None


class Candidate(Struct, frozen=True, kw_only=True):
    """A rival part as the proven channel sees it: where it came from and which fields it holds, never their values."""

    part: str
    channel: str
    fields: tuple[str, ...]
    received_at: int


class Candidates(Struct, frozen=True, kw_only=True):
    """The rivals that wait; empty as well when nothing is known under the element."""

    candidates: tuple[Candidate, ...]


class IssuedNumber(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `POST /v1/numbers`: the institution sets a user's dynamic number (patent claim 4)."""

    username: Secret
    number: str


class IssuedValue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `POST /v1/values`: a value the institution issued to a payer; `valid_for` in seconds."""

    value: str
    valid_for: int


class Done(Struct, frozen=True, kw_only=True):
    """The answer to a request that returns nothing else."""

    status: Literal["done"] = "done"


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a message that says all by its address: `{}`."""
