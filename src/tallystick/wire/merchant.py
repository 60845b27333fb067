"""The JSON of the merchants' API; its schema is docs/reference/openapi.json."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from tallystick.wire.part import WireOrder

PAYMENTS: Final = "/v1/payments"
EVENTS: Final = "/v1/events"
TEST: Final = "/v1/test/payments/{id}"
API_VERSION: Final = "2026-11-01"
VERSION_HEADER: Final = "tallystick-version"
REQUEST_ID_HEADER: Final = "request-id"
REPLAYED_HEADER: Final = "idempotency-replayed"

Moment = Annotated[int, Meta(description="milliseconds since 1970-01-01T00:00:00Z")]


class MerchantPayment(Struct, frozen=True, kw_only=True):
    """A payment as the merchant that created it sees it: nothing of the payer's data."""

    object: Literal["payment"] = "payment"
    id: str
    livemode: bool
    state: str
    policy: str
    correlation: str
    order: WireOrder
    allowed: tuple[str, ...]
    parts: int
    contested: bool
    created_at: Moment
    updated_at: Moment
    expires_at: Moment
    metadata: dict[str, str]
    return_url: str | None
    back_end: str | None
    response_code: str | None
    reason: str | None


class MerchantPaymentCreated(MerchantPayment, frozen=True, kw_only=True):
    """The answer to a creation: `code` joins the parts, `page_url` is where the payer's browser goes.

    Both are null for a key with the scope `order` alone: what reaches the payer then goes to the payer only.
    """

    code: str | None
    page_url: str | None


class PaymentList(Struct, frozen=True, kw_only=True):
    """One page of payments, newest first; `next_cursor` is there when older ones follow."""

    object: Literal["list"] = "list"
    data: tuple[MerchantPayment, ...]
    next_cursor: str | None


class NewRefund(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `POST /v1/payments/{id}/refunds`; without `amount`, all that was not refunded before."""

    amount: Annotated[int, Meta(ge=1)] | None = None
    reason: Annotated[str, Meta(max_length=200)] = ""


class MerchantRefund(Struct, frozen=True, kw_only=True):
    """A refund asked for, bound to the part that pays by its receipt's SHA-256.

    `recorded` is its one state: no connector sends refunds. The operator carries it out with the back end.
    """

    object: Literal["refund"] = "refund"
    id: str
    livemode: bool
    payment: str
    part: str
    receipt_sha256: str
    amount: int
    currency: str
    reason: str
    state: Literal["recorded"] = "recorded"
    created_at: Moment


class RefundList(Struct, frozen=True, kw_only=True):
    """The refunds of a payment, oldest first."""

    object: Literal["list"] = "list"
    data: tuple[MerchantRefund, ...]


class MerchantEvent(Struct, frozen=True, kw_only=True):
    """A change that a merchant is told; `seq` is the cursor to go on from."""

    object: Literal["event"] = "event"
    seq: int
    type: str
    livemode: bool
    created_at: Moment
    payment: MerchantPayment


class TestPay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `POST /v1/test/payments/{id}/pay`: which halves the platform plays, and how it shall end."""

    outcome: Literal["approve", "decline", "unknown", "away", "wrong_secret"] = "approve"
    parts: Literal["both", "first", "second"] = "both"


class TestAdvance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `POST /v1/test/payments/{id}/advance`: how much time shall have gone by for this payment."""

    seconds: Annotated[int, Meta(ge=1, le=86_400)]


class MerchantProblem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document (RFC 9457); `code` is stable, `param` names the member that is wrong."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    remedy: str
    request_id: str
    param: str | None = None


class Empty(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a request that says all by its address: `{}`."""
