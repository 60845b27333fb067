"""A payment created before its parts: the texts its parts are bound to, and the MAC its order is kept under."""

import hmac
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from tallystick.assembly.content import CHANGED, PartValues
from tallystick.assembly.intake import write_order
from tallystick.assembly.model import Payment
from tallystick.crypto import versioned
from tallystick.errors import CredentialRefused, EnvelopeUnopenable
from tallystick.security.ports import Keyring, Purpose

LABEL: Final = "created order"


def payment_texts(payment: Payment) -> tuple[str, ...]:
    """Return what an envelope for a created payment is bound to: its id and its order's texts, lines too."""
    if payment.order is None:
        return (payment.id,)
    return (payment.id, *write_order(payment.order).texts())


def protect_order(keyring: Keyring, payment: Payment) -> Payment:
    """Return a payment with the MAC of what it is created with, under the active access key."""
    return replace(payment, order_mac=_mac(keyring.active(Purpose.ACCESS), payment))


def check_order(keyring: Keyring, payment: Payment, parts: Sequence[PartValues]) -> None:
    """Refuse a joined payment whose order is not the one that somebody proven asked for.

    Parts under a code need not name their payment: they say nothing of its order, so its MAC has to.

    1. An order that a part brought, of a payment that nobody created, is vouched for by that part.
    2. Every other one has its MAC, over owner, allowed back ends, id and order: who takes owner or MAC out of the row
       does not get around it.

    Raises CredentialRefused: the payment ends, nothing is sent. KeyUnknown when the MAC's key is destroyed.
    Left to the caller: an order that a part brought is the payment's (`content.open_joined`).
    """
    # 1.
    brought = any(values.order is not None for values in parts)
    if payment.owner is None and brought and not any(values.bound for values in parts):
        return
    # 2.
    mac = payment.order_mac or b""
    try:
        key = keyring.version(Purpose.ACCESS, versioned.version_of(mac))
    except EnvelopeUnopenable:
        raise CredentialRefused(CHANGED) from None
    if not hmac.compare_digest(_mac(key, payment), mac):
        raise CredentialRefused(CHANGED)


def _mac(key: versioned.VersionedKey, payment: Payment) -> bytes:
    allowed = (str(len(payment.allowed)), *payment.allowed)
    return versioned.digest(key, LABEL, payment.owner or "", *allowed, *payment_texts(payment))
