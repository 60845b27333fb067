"""The JSON between the platform and a third party's account system (docs/reference/account-back-end.md).

Names and results follow the payment interface of Antom. Messages of the platform have exactly these members; in those
of an account system, members that are not known here are ignored.
"""

from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from tallystick import limits
from tallystick.errors import Malformed
from tallystick.wire.rest import CREDENTIAL_MAX, PaymentKey

PAY: Final = "/v1/payments/pay"
INQUIRE: Final = "/v1/payments/inquiryPayment"
CANCEL: Final = "/v1/payments/cancel"
HEALTH: Final = "/v1/health"
NOTIFICATIONS: Final = "/v1/notifications/{institution}"
MEDIA_TYPE: Final = "application/json; charset=UTF-8"
CREDENTIAL_TYPE: Final = "tallystick-account+jwe"
CREDENTIAL_CONTEXT: Final = "tallystick-account-v1"

SUCCESS: Final = "SUCCESS"
IN_PROCESS: Final = "PAYMENT_IN_PROCESS"
NOT_FOUND: Final = "ORDER_NOT_EXIST"
CANCELLED: Final = "ORDER_IS_CANCELLED"
INCONSISTENT: Final = "REPEAT_REQ_INCONSISTENT"
"""An earlier request with the same id, which may have had an effect, had another content."""

Code = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.-]{1,64}\Z")]
_T = TypeVar("_T")


class Amount(Struct, frozen=True, kw_only=True):
    """Money: `value` in minor units of `currency`, as decimal text."""

    currency: Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
    value: Annotated[str, Meta(pattern=r"\A[1-9][0-9]{0,11}\Z")]


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a request ended: S done, F refused without effect, U not known now; `result_message` is for people."""

    result_code: Code
    result_status: Literal["S", "F", "U"]
    result_message: Annotated[str, Meta(max_length=256)] = ""


class Order(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is paid: the payee, and the reference that the payee knows it by."""

    order_description: Annotated[str, Meta(min_length=1, max_length=limits.PAYEE_MAX)]
    reference_order_id: Annotated[str, Meta(max_length=limits.REFERENCE_MAX)] = ""


class PaymentMethod(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Who pays: `payment_method_id` is a compact JWE around account and secret."""

    payment_method_type: Literal["ACCOUNT"]
    payment_method_id: Annotated[str, Meta(min_length=1, max_length=CREDENTIAL_MAX)]


class PayRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The body of PAY; `payment_request_id` makes it idempotent."""

    payment_request_id: PaymentKey
    order: Order
    payment_amount: Amount
    payment_method: PaymentMethod


class NamedRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The body of INQUIRE and CANCEL: which request is meant."""

    payment_request_id: PaymentKey


class HealthRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of HEALTH: `{}`."""


class NamedAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """What every answer about a payment has beside its result."""

    payment_request_id: PaymentKey


class PayAnswer(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The answer to PAY; `payment_amount` is there when it was paid, `payment_id` is the account system's own id."""

    result: Result
    payment_request_id: PaymentKey
    payment_amount: Amount | None = None
    payment_id: Code | None = None


class InquiryAnswer(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The answer to INQUIRE: `result` is that of the inquiry, the others tell of the payment."""

    result: Result
    payment_request_id: PaymentKey
    payment_status: Literal["SUCCESS", "FAIL", "PROCESSING", "CANCELLED"] | None = None
    payment_result_code: Code | None = None
    payment_amount: Amount | None = None


class CancelAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to CANCEL: after S the payment has no effect, now or later."""

    result: Result
    payment_request_id: PaymentKey


class HealthAnswer(Struct, frozen=True):
    """The answer to HEALTH."""

    result: Result


class PaymentResult(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The body of a notification: what became of a payment, as in the answer to PAY."""

    notify_type: Literal["PAYMENT_RESULT"]
    result: Result
    payment_request_id: PaymentKey
    payment_amount: Amount | None = None


class Acknowledgement(Struct, frozen=True, kw_only=True, rename="camel"):
    """The platform's answer to a notification: the same to every repeat."""

    result: Result
    payment_request_id: PaymentKey


def decode(body: bytes, kind: type[_T]) -> _T:
    """Decode exactly one message of this kind; raises Malformed, which names no value."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # a member that is ignored may be nested
        pass  # the reason may quote a value: it is dropped here, not chained
    raise Malformed("the message has not the form of docs/reference/account-back-end.md")
