"""What an authenticated answer or callback of an account system means.

A payment that succeeded names what was paid: an answer that does not agree with what was asked tells nothing.
"""

from typing import Final, TypeVar

from tallystick.assembly.facts import Order
from tallystick.delivery.model import Answer, Finding, Known, Verdict
from tallystick.delivery.notification import Notification, Paid
from tallystick.errors import Malformed, OutcomePending, OutcomeUnknown, ReversalRefused
from tallystick.wire import account as wire

ELSEWHERE: Final = frozenset({"CURRENCY_NOT_SUPPORT", "PAYMENT_METHOD_NOT_SUPPORTED"})
"""Refusals that are no fault of the payer and had no effect: another account system may be tried."""

_STATUSES: Final = {
    "SUCCESS": Known.APPROVED,
    "FAIL": Known.DECLINED,
    "PROCESSING": Known.PENDING,
    "CANCELLED": Known.REVERSED,
}
_RESULTS: Final = {"S": Known.APPROVED, "F": Known.DECLINED, "U": Known.PENDING}
_T = TypeVar("_T")


def judge(body: bytes, order: Order) -> Answer:
    """Say what an authenticated answer to a payment means.

    1. It has the agreed form.
    2. S approves when the amount paid is the amount asked.
    3. F declines, unless it speaks of an earlier request under the same id.

    Raises OutcomePending for U with "in process"; OutcomeUnknown for all else: the account system may have acted.
    """
    # 1.
    answer = _read(body, wire.PayAnswer)
    code, status = answer.result.result_code, answer.result.result_status
    # 2.
    if status == "S":
        _require_paid(answer.payment_amount, order)
        return Answer(verdict=Verdict.APPROVED, code=code)
    # 3.
    if status == "F" and code != wire.INCONSISTENT:
        return Answer(verdict=Verdict.DECLINED, code=code, elsewhere=code in ELSEWHERE)
    if code == wire.IN_PROCESS:
        raise OutcomePending("the account system took the payment and decides later")
    raise OutcomeUnknown(f"the account system does not tell the outcome: {code}")


def found(body: bytes, order: Order) -> Finding:
    """Return what an authenticated answer to an inquiry says of the payment; raises OutcomeUnknown: ask again."""
    answer = _read(body, wire.InquiryAnswer)
    code, status = answer.result.result_code, answer.result.result_status
    if status == "F" and code == wire.NOT_FOUND:
        return Finding(known=Known.NOT_FOUND, code=code)
    if status != "S" or answer.payment_status is None:
        raise OutcomeUnknown(f"the inquiry is not answered: {code}")
    if answer.payment_status == "SUCCESS":
        _require_paid(answer.payment_amount, order)
    return Finding(known=_STATUSES[answer.payment_status], code=answer.payment_result_code)


def acknowledged(body: bytes) -> str:
    """Return the code of an authenticated answer by which a payment is cancelled for good.

    Raises ReversalRefused for F: a person decides. Raises OutcomeUnknown for U: cancel again.
    """
    result = _read(body, wire.CancelAnswer).result
    if result.result_status == "F":
        raise ReversalRefused(f"the account system does not cancel the payment: {result.result_code}")
    if result.result_status == "U":
        raise OutcomeUnknown(f"the cancellation is not acknowledged: {result.result_code}")
    return result.result_code


def told(body: bytes) -> Notification:
    """Return what an authenticated callback says; raises Malformed when it has not the agreed form."""
    message = wire.decode(body, wire.PaymentResult)
    known, paid = _RESULTS[message.result.result_status], message.payment_amount
    if known is Known.APPROVED and paid is None:
        raise Malformed("a payment that succeeded names its amount")
    return Notification(
        key=message.payment_request_id,
        finding=Finding(known=known, code=message.result.result_code),
        paid=None if paid is None else Paid(amount=int(paid.value), currency=paid.currency),
    )


def amount_of(order: Order) -> wire.Amount:
    """Return an order's amount as it is written."""
    return wire.Amount(currency=order.currency, value=str(order.amount))


def require_named(body: bytes, key: str) -> None:
    """Check that an answer is about the request it came for; OutcomeUnknown."""
    if _read(body, wire.NamedAnswer).payment_request_id != key:
        raise OutcomeUnknown("the answer is about another payment")


def require_health(body: bytes) -> None:
    """Take an authenticated answer to a health call; OutcomeUnknown unless it tells success."""
    if _read(body, wire.HealthAnswer).result.result_status != "S":
        raise OutcomeUnknown("the account system does not answer its health call with success")


def _read(body: bytes, kind: type[_T]) -> _T:
    try:
        return wire.decode(body, kind)
    except Malformed as wrong:
        raise OutcomeUnknown(f"the answer tells nothing: {wrong.detail}") from wrong


def _require_paid(paid: wire.Amount | None, order: Order) -> None:
    if paid != amount_of(order):
        raise OutcomeUnknown("what was paid is not what was asked")
