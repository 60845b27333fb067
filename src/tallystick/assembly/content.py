"""The content of a part at rest, and the whole that joined parts give."""

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from tallystick.assembly.facts import Order
from tallystick.assembly.model import Part, Payment, SplitPolicy
from tallystick.assembly.policy import share_field
from tallystick.crypto.binding import bind
from tallystick.crypto.box import SealingKey
from tallystick.errors import CredentialRefused, EnvelopeUnopenable, FieldInvalid, Refused
from tallystick.secret import Secret
from tallystick.security.fields import check_fields
from tallystick.security.pin_text import read_pin_text
from tallystick.security.ports import EpochKeys

CHANGED: Final = "record_changed"
"""The reason of a payment whose rows do not say any more what its parts were sent for."""


class PartValues(Struct, frozen=True, kw_only=True):
    """What a part holds: values by field name (a share under `share/<index>`), and the order it brought.

    `element` are the digests of the element it was sent under, `bound` the texts of the created payment that its
    envelope was bound to.
    """

    fields: Mapping[str, Secret]
    order: Order | None = None
    element: tuple[bytes, ...] = ()
    bound: tuple[str, ...] = ()


class _Stored(Struct, frozen=True):
    fields: dict[str, str]
    order: Order | None = None
    element: tuple[bytes, ...] = ()
    bound: tuple[str, ...] = ()


_stored: Final = msgspec.json.Decoder(_Stored)


def seal_values(values: PartValues, key: SealingKey, part_id: str) -> bytes:
    """Seal a part's values under an epoch's key, bound to the part's id."""
    fields = {name: value.reveal() for name, value in values.fields.items()}
    clear = msgspec.json.encode(_Stored(fields, values.order, values.element, values.bound))
    return key.seal(clear, bind("part", part_id))


def open_values(part: Part, keys: EpochKeys) -> PartValues:
    """Open a part's values; raises KeyUnknown once its epoch's key is destroyed: the part is over."""
    stored = _stored.decode(keys.key(part.epoch).unseal(part.sealed, bind("part", part.id)))
    return PartValues(
        fields={name: Secret(value) for name, value in stored.fields.items()},
        order=stored.order,
        element=stored.element,
        bound=stored.bound,
    )


def open_joined(payment: Payment, parts: Sequence[Part], keys: EpochKeys, texts: tuple[str, ...]) -> list[PartValues]:
    """Open the parts of a joined payment, and refuse what was moved or edited in the store since they were sent.

    1. Each opens under its own id and epoch.
    2. Each was sent under the payment's element, or for this very payment.
    3. The order it brought, or was bound to, is the one the payment has now; `texts` are the payment's.

    Raises CredentialRefused when one of these fails: the payment ends, nothing is sent. KeyUnknown as `open_values`.
    Left to the caller: which parts are live, and the payment's state, are as the store says.
    """
    opened = []
    for part in parts:
        # 1.
        try:
            values = open_values(part, keys)
        except EnvelopeUnopenable:
            raise CredentialRefused(CHANGED) from None
        # 2. and 3.
        ours = values.bound == texts if values.bound else payment.element.digest in values.element
        if not ours or (values.order is not None and values.order != payment.order):
            raise CredentialRefused(CHANGED)
        opened.append(values)
    return opened


def merge(policy: SplitPolicy, parts: Sequence[PartValues]) -> dict[str, Secret]:
    """Put joined parts together: fields side by side, or shares by XOR.

    Raises CredentialRefused when shares do not give a readable whole: somebody sent a wrong share, or
    put an enciphered PIN block into one.
    """
    fields: dict[str, Secret] = {}
    for values in parts:
        fields.update(values.fields)
    return _combine(policy, fields) if policy.shares else fields


def decode_share(data: str) -> bytes:
    """Decode a share's base64url; raises FieldInvalid."""
    try:
        return b64decode(data + "=" * (-len(data) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise FieldInvalid("a share is not base64url", field="share.data") from None


def _combine(policy: SplitPolicy, fields: Mapping[str, Secret]) -> dict[str, Secret]:
    shares = [decode_share(fields[share_field(index)].reveal()) for index in range(1, policy.shares + 1)]
    whole = 0
    for share in shares:
        whole ^= int.from_bytes(share)
    if len({len(share) for share in shares}) != 1:
        raise CredentialRefused("shares_do_not_match")
    try:
        clear = msgspec.json.decode(whole.to_bytes(len(shares[0])), type=dict[str, str])
        whole_fields = check_fields({name: Secret(value) for name, value in clear.items()})
    except (msgspec.MsgspecError, UnicodeDecodeError, Refused) as error:
        raise CredentialRefused("shares_do_not_match") from error
    entered = whole_fields.get("pin_block")
    if entered is not None and read_pin_text(entered) is not None:
        raise CredentialRefused("pin_in_shares")  # its key, counter and token could not be checked as it came in
    return whole_fields
