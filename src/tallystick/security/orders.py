"""Check an order's fields."""

from typing import Final

from tallystick import limits
from tallystick.errors import FieldInvalid
from tallystick.security.folding import fold
from tallystick.wire.part import WireLine, WireOrder

CURRENCIES: Final = frozenset(
    {
        *("AUD", "CAD", "CHF", "CNY", "EUR", "GBP", "HKD", "JPY", "KRW"),
        *("MOP", "MYR", "NZD", "PHP", "SGD", "THB", "TWD", "USD", "VND"),
    }
)
"""ISO 4217 letters of the currencies that every connector can carry."""


def check_order(order: WireOrder) -> WireOrder:
    """Return the order folded; raises FieldInvalid for a wrong field."""
    payee, reference = fold(order.payee), fold(order.reference)
    if not 1 <= len(payee) <= limits.PAYEE_MAX or not payee.isprintable():
        raise FieldInvalid(f"a payee has 1 to {limits.PAYEE_MAX} printable characters", field="order.payee")
    if len(reference) > limits.REFERENCE_MAX or not reference.isprintable():
        raise FieldInvalid(f"a reference has at most {limits.REFERENCE_MAX} characters", field="order.reference")
    if not 1 <= order.amount <= limits.AMOUNT_MAX:
        raise FieldInvalid(f"an amount is 1 to {limits.AMOUNT_MAX} minor units", field="order.amount")
    if order.currency not in CURRENCIES:
        raise FieldInvalid("the currency is not one the platform carries", field="order.currency")
    return WireOrder(
        payee=payee,
        amount=order.amount,
        currency=order.currency,
        reference=reference,
        lines=_check_lines(order.lines, order.amount),
    )


def _check_lines(lines: tuple[WireLine, ...], total: int) -> tuple[WireLine, ...]:
    """Return the lines folded; they give the total, so that what a payer reads is what is paid."""
    if len(lines) > limits.LINES_MAX:
        raise FieldInvalid(f"an order has at most {limits.LINES_MAX} lines", field="order.lines")
    folded = tuple(WireLine(text=fold(line.text), quantity=line.quantity, amount=line.amount) for line in lines)
    for line in folded:
        if not 1 <= len(line.text) <= limits.LINE_TEXT_MAX or not line.text.isprintable():
            raise FieldInvalid(f"a line has 1 to {limits.LINE_TEXT_MAX} printable characters", field="order.lines")
        if not 1 <= line.quantity <= limits.QUANTITY_MAX or not 0 <= line.amount <= limits.AMOUNT_MAX:
            raise FieldInvalid("a line has a quantity and an amount of zero or more", field="order.lines")
    if folded and sum(line.amount for line in folded) != total:
        raise FieldInvalid("the lines' amounts do not give the order's amount", field="order.lines")
    return folded
