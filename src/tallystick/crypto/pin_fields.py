"""The clear PIN and card number fields of ISO 9564-1 formats 0, 1, 3 and 4. Only `crypto` may import this module.

What is read and written here is a clear PIN: `pin` and `pin_translate` never let it out.
"""

import secrets
from enum import IntEnum
from typing import Final

from tallystick.errors import FieldInvalid, Malformed

PIN_MIN: Final = 4  # digits, ISO 9564-1
PIN_MAX: Final = 12  # digits
BLOCK_NIBBLES: Final = 16  # of formats 0, 1 and 3, and of the first half of format 4
PAN_DIGITS_0: Final = 12  # right-most digits without the check digit that formats 0 and 3 take
PAN_MAX: Final = 19  # digits
HEX: Final = frozenset("0123456789ABCDEF")
FILL_3: Final = "ABCDEF"


class PinFormat(IntEnum):
    """A PIN block format; its value is the control nibble."""

    ISO_0 = 0
    ISO_1 = 1
    ISO_3 = 3
    ISO_4 = 4


FILLS: Final = {
    PinFormat.ISO_0: frozenset("F"),
    PinFormat.ISO_1: HEX,
    PinFormat.ISO_3: frozenset(FILL_3),
    PinFormat.ISO_4: frozenset("A"),
}
"""What may stand behind the PIN in the first eight bytes of each format."""


def pin_field(pin: str, form: PinFormat) -> bytes:
    """Write the PIN field: eight bytes, or sixteen of format 4; raises FieldInvalid for no PIN."""
    require_pin(pin)
    count = BLOCK_NIBBLES - 2 - len(pin)
    fill = {
        PinFormat.ISO_0: lambda: "F" * count,
        PinFormat.ISO_1: lambda: secrets.token_hex(BLOCK_NIBBLES)[:count],
        PinFormat.ISO_3: lambda: "".join(secrets.choice(FILL_3) for _ in range(count)),
        PinFormat.ISO_4: lambda: "A" * count + secrets.token_bytes(BLOCK_NIBBLES // 2).hex(),
    }[form]()
    return bytes.fromhex(f"{form:X}{len(pin):X}{pin}{fill}")


def read_pin(field: bytes, form: PinFormat) -> str:
    """Read the PIN out of a deciphered PIN field of one format.

    1. The control nibble is the format's.
    2. The PIN has 4 to 12 digits.
    3. Nothing but the format's fill stands behind it.

    Raises Malformed, one answer for each: wrong key, wrong card number and altered bytes are not told apart.
    """
    clear = field.hex().upper()[:BLOCK_NIBBLES]
    end = 2 + int(clear[1], 16)
    pin = clear[2:end]
    # 1.
    right = clear[0] == f"{form:X}"
    # 2.
    right &= PIN_MIN <= end - 2 <= PIN_MAX and pin.isdecimal()
    # 3.
    if not right or not FILLS[form].issuperset(clear[end:]):
        raise broken()
    return pin


def pan_field_0(pan: str) -> bytes:
    """Write the card number field of formats 0 and 3; raises FieldInvalid."""
    _require_digits(pan)
    if len(pan) <= PAN_DIGITS_0:
        raise FieldInvalid(f"a card number of {PAN_DIGITS_0} digits or less fits no format 0 block", field="fields.pan")
    return bytes.fromhex(f"0000{pan[-PAN_DIGITS_0 - 1 : -1]}")


def pan_field_4(pan: str) -> bytes:
    """Write the card number field of format 4; raises FieldInvalid."""
    _require_digits(pan)
    shown = pan.rjust(PAN_DIGITS_0, "0")
    return bytes.fromhex(f"{len(shown) - PAN_DIGITS_0}{shown}".ljust(2 * BLOCK_NIBBLES, "0"))


def require_pin(digits: str) -> None:
    """Refuse anything but 4 to 12 digits; FieldInvalid."""
    if not (PIN_MIN <= len(digits) <= PIN_MAX and digits.isascii() and digits.isdigit()):
        raise FieldInvalid(f"a PIN has {PIN_MIN} to {PIN_MAX} digits", field="pin")


def broken() -> Malformed:
    """Return the one answer to a block that is not valid."""
    return Malformed("the PIN block is not valid")


def _require_digits(pan: str) -> None:
    if not (pan.isascii() and pan.isdigit() and len(pan) <= PAN_MAX):
        raise FieldInvalid("the card number is no card number", field="fields.pan")
