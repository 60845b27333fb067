"""The content of a part at rest, and the whole that joined parts give."""

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from tallystick.assembly.facts import Order
from tallystick.assembly.model import Part, SplitPolicy
from tallystick.assembly.policy import share_field
from tallystick.crypto import box
from tallystick.crypto.binding import bind
from tallystick.errors import CredentialRefused, FieldInvalid, Refused
from tallystick.secret import Secret
from tallystick.security.fields import check_fields
from tallystick.security.pin_text import read_pin_text
from tallystick.security.ports import EpochKeys

_order: Final = msgspec.json.Decoder(Order)


class PartValues(Struct, frozen=True, kw_only=True):
    """What a part holds: values by field name (a share under `share/<index>`), and the order it brought."""

    fields: Mapping[str, Secret]
    order: Order | None = None


class _Stored(Struct, frozen=True):
    fields: dict[str, str]
    order: Order | None = None


_stored: Final = msgspec.json.Decoder(_Stored)


def seal_values(values: PartValues, key: bytes, part_id: str) -> bytes:
    """Seal a part's values under an epoch's key, bound to the part's id."""
    clear = msgspec.json.encode(_Stored({name: value.reveal() for name, value in values.fields.items()}, values.order))
    return box.seal(key, clear, bind("part", part_id))


def open_values(part: Part, keys: EpochKeys) -> PartValues:
    """Open a part's values; raises KeyUnknown once its epoch's key is destroyed: the part is over."""
    stored = _stored.decode(box.unseal(keys.key(part.epoch), part.sealed, bind("part", part.id)))
    return PartValues(fields={name: Secret(value) for name, value in stored.fields.items()}, order=stored.order)


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
