"""Rows of payments."""

from typing import Final

import msgspec

from tallystick.adapters.store.rows.texts import Row, to_json
from tallystick.assembly.facts import ElementKind, Fate, Order, PaymentState
from tallystick.assembly.model import Element, Payment

ORDER: Final = msgspec.json.Decoder(Order)
ALLOWED: Final = msgspec.json.Decoder(tuple[str, ...])


def to_row(payment: Payment) -> Row:
    """Order a payment's values as the table does."""
    return (
        payment.id,
        payment.policy,
        payment.element.kind.value,
        payment.element.digest,
        payment.element.institution,
        payment.claimed,
        payment.opened_at,
        payment.expires_at,
        payment.state.value,
        None if payment.fate is None else payment.fate.value,
        payment.contested,
        payment.owner,
        payment.user_id,
        None if payment.order is None else to_json(payment.order),
        to_json(payment.allowed),
        payment.back_end,
        payment.response_code,
        payment.reason,
        payment.updated_at,
        payment.order_mac,
    )


def from_row(row: Row) -> Payment:
    """Read a payment back."""
    id_, policy, kind, digest, institution, claimed, opened_at, expires_at, state, fate, *rest = row
    contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac = rest
    return Payment(
        id=id_,
        policy=policy,
        element=Element(kind=ElementKind(kind), digest=digest, institution=institution),
        claimed=bool(claimed),
        opened_at=opened_at,
        expires_at=expires_at,
        state=PaymentState(state),
        fate=None if fate is None else Fate(fate),
        contested=bool(contested),
        owner=owner,
        user_id=user_id,
        order=None if ordered is None else ORDER.decode(ordered),
        allowed=ALLOWED.decode(allowed),
        back_end=back_end,
        response_code=response_code,
        reason=reason,
        updated_at=updated_at,
        order_mac=order_mac,
    )
