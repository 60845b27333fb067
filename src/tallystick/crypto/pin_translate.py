"""The translations of PIN blocks that the platform makes, as a table; everything else is refused (PCI PIN 3-3).

A PIN is clear inside these functions only. In production they run in the process of `adapters/pins/program.py`, in
software and so **not in a payment HSM**: a link under PCI PIN needs one behind the same port.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from tallystick.crypto import pin_token
from tallystick.crypto.pin import check_key, decipher, encipher
from tallystick.crypto.pin_fields import BLOCK_NIBBLES, HEX, PinFormat, broken, read_pin
from tallystick.errors import Forbidden
from tallystick.secret import Pan, Secret


class Over(StrEnum):
    """Which number a sender's block is built over."""

    NOTHING = "nothing"
    TOKEN = "token"  # noqa: S105 (a kind of number)
    CARD = "card"


CARD_FORMATS: Final = frozenset({PinFormat.ISO_0, PinFormat.ISO_3, PinFormat.ISO_4})
ALLOWED: Final[Mapping[tuple[PinFormat, Over], frozenset[PinFormat]]] = MappingProxyType(
    {
        (PinFormat.ISO_1, Over.NOTHING): CARD_FORMATS,
        (PinFormat.ISO_4, Over.TOKEN): CARD_FORMATS,
    }
)
"""From (format, number it is over) to the formats over the real card number that it may become.

Nothing becomes format 1 or 2, and no format but these two comes in: a channel with a PIN has no card number, so a block
over one did not come from where it says.
"""


class Block(NamedTuple):
    """An enciphered block as its sender built it, with the key it is under."""

    form: PinFormat
    key: bytes
    data: bytes


class Bound(NamedTuple):
    """The token a block is over, and the record that binds it; `key` is the one of `pin_token`."""

    token: str
    record: bytes
    payment_id: str
    key: bytes


def translate(block: Block, pan: Pan, zone_key: bytes, target: PinFormat, bound: Bound | None = None) -> bytes:
    """Turn a sender's block into one over `pan`, enciphered under the back end's zone key.

    1. The translation is in `ALLOWED`.
    2. Both keys fit their formats.
    3. A token is bound to this card and this payment (`pin_token.check`).
    4. The block is valid under its key, and over the token where there is one.

    Left to the caller: that this key belongs to the sender, that its counter went forward, and the tries.

    Raises:
        Forbidden: 1 or 3. No PIN was deciphered.
        Malformed: 4: wrong key, wrong number or altered bytes, deliberately one answer.
        FieldInvalid: the card number has a length that the target format cannot carry.
        Misconfigured: 2.
    """
    # 1.
    require_allowed(block.form, Over.NOTHING if bound is None else Over.TOKEN, target)
    # 2.
    check_key(block.form, block.key)
    check_key(target, zone_key)
    # 3.
    if bound is not None:
        pin_token.check(bound.key, bound.token, pan, bound.payment_id, bound.record)
    # 4.
    pin = decipher(block.data, block.form, block.key, None if bound is None else Secret(bound.token))
    return encipher(pin, target, zone_key, pan)


def translate_clear(block_1: Secret, pan: Pan, zone_key: bytes, target: PinFormat) -> bytes:
    """Turn a clear format 1 block in upper-case hex into one over `pan` under the back end's zone key.

    The way of senders without a PIN key: the block came inside an authenticated envelope, and whoever opened that has
    seen the PIN. Checks and errors are those of `translate`; a block of another format is Forbidden.
    """
    clear = block_1.reveal()
    if clear[:1] != f"{PinFormat.ISO_1:X}":
        raise Forbidden("this PIN block may not be translated into the back end's format")
    require_allowed(PinFormat.ISO_1, Over.NOTHING, target)
    check_key(target, zone_key)
    if len(clear) != BLOCK_NIBBLES or not HEX.issuperset(clear):
        raise broken()
    return encipher(Secret(read_pin(bytes.fromhex(clear), PinFormat.ISO_1)), target, zone_key, pan)


def require_allowed(form: PinFormat, over: Over, target: PinFormat) -> None:
    """Refuse a translation that is not in the table; Forbidden."""
    if target not in ALLOWED.get((form, over), frozenset()):
        raise Forbidden("this PIN block may not be translated into the back end's format")
