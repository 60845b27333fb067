"""PIN blocks of ISO 9564-1 formats 0, 1, 3 and 4, and the one translation the platform makes.

A clear PIN exists in no variable outside this module. This is the software driver of that boundary: Python cannot erase
a string, so the process's memory holds the clear PIN for the moment of a translation and somewhat longer; a payment HSM
behind the same function is what a production link under PCI PIN requires.
"""

import hmac
import secrets
from enum import IntEnum
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from tallystick.errors import CredentialRefused, FieldInvalid, Forbidden, Malformed, Misconfigured
from tallystick.secret import Pan, Secret

PIN_MIN: Final = 4  # digits, ISO 9564-1
PIN_MAX: Final = 12  # digits
BLOCK_NIBBLES: Final = 16  # of formats 0, 1 and 3, and of the first half of format 4
PAN_DIGITS_0: Final = 12  # right-most digits without the check digit that formats 0 and 3 take
PAN_MAX: Final = 19  # digits
TDES_KEY_BYTES: Final = 16  # K1 and K2
AES_KEY_BYTES: Final = frozenset({16, 24, 32})
HEX: Final = frozenset("0123456789ABCDEF")
FILL_3: Final = "ABCDEF"


class PinFormat(IntEnum):
    """A PIN block format; its value is the control nibble."""

    ISO_0 = 0
    ISO_1 = 1
    ISO_3 = 3
    ISO_4 = 4


ALLOWED: Final = frozenset(
    {(PinFormat.ISO_1, PinFormat.ISO_0), (PinFormat.ISO_1, PinFormat.ISO_3), (PinFormat.ISO_1, PinFormat.ISO_4)}
)
"""Translations (from, to) out of PCI PIN requirement 3-3 that the platform makes; it also forbids any way back to 1."""


def pin_block_1(pin: Secret) -> Secret:
    """Build a clear format 1 block in hex with random fill, for a sender that has no card number.

    It is the sender's duty to seal it at once: format 1 hides nothing and binds to no card. Raises FieldInvalid for
    anything but 4 to 12 digits: ask the payer again.
    """
    digits = pin.reveal()
    _require_pin(digits)
    fill = secrets.token_hex(BLOCK_NIBBLES // 2).upper()
    return Secret(f"1{len(digits):X}{digits}{fill}"[:BLOCK_NIBBLES])


def translate(block_1: Secret, pan: Pan, zone_key: bytes, target: PinFormat) -> bytes:
    """Turn a clear format 1 block into a block for `pan`, enciphered under the back end's zone key.

    Gives 8 bytes of double-length TDES for formats 0 and 3, and 16 bytes of AES for format 4.

    1. The translation is in `ALLOWED` (PCI PIN 3-3).
    2. The block is a well-formed format 1 block.
    3. Card number and zone key fit the target format.

    Left to the caller: that PIN and card number belong together, which format 1 cannot tell (the join proves it), and
    that both travelled under authenticated encryption.

    Raises:
        Forbidden: no such translation is allowed.
        FieldInvalid: the card number has a length that the target format cannot carry.
        Malformed: the block is not valid.
        Misconfigured: the zone key does not fit.
    """
    clear = block_1.reveal()
    # 1.
    if (_control(clear), target) not in ALLOWED:
        raise Forbidden("this PIN block may not be translated into the back end's format")
    # 2.
    pin = _read_1(clear)
    # 3.
    if target is PinFormat.ISO_4:
        return _encipher_4(pin, pan.reveal(), zone_key)
    mixed = _xor(_pin_field_0_3(pin, target), _pan_field_0(pan.reveal()))
    return Cipher(_tdes(zone_key), modes.ECB()).encryptor().update(mixed)  # noqa: S305 (one block: ISO 9564-2 says so)


def verify(block: bytes, pan: Pan, zone_key: bytes, form: PinFormat, expected: Secret) -> None:
    """Decipher a block of format 0, 3 or 4 and compare its PIN with the expected one: the issuer's side.

    1. The deciphered block is well formed for `form` and `pan`.
    2. Its PIN equals `expected`, compared in constant time.

    Left to the caller: counting tries before this check.

    Raises:
        Malformed: no valid block: wrong key, wrong card number or altered bytes, deliberately one answer.
        CredentialRefused: a valid block with another PIN.
        FieldInvalid, Misconfigured: card number or key do not fit the format.
    """
    # 1.
    if form is PinFormat.ISO_4:
        pin = _decipher_4(block, pan.reveal(), zone_key)
    else:
        pin = _decipher_0_3(block, pan.reveal(), zone_key, form)
    # 2.
    if not hmac.compare_digest(pin, expected.reveal()):
        raise CredentialRefused("wrong_pin")


def check_key(form: PinFormat, key: bytes) -> None:
    """Refuse a zone key that does not fit the format, or a TDES key with equal halves; Misconfigured."""
    if form is PinFormat.ISO_4:
        _aes(key)
    else:
        _tdes(key)


def _control(clear: str) -> PinFormat | None:
    try:
        return PinFormat(int(clear[:1], 16))
    except ValueError:
        return None


def _read_1(clear: str) -> str:
    if len(clear) != BLOCK_NIBBLES or not HEX.issuperset(clear):
        raise _broken()
    return _take_pin(clear, frozenset(HEX))


def _pin_field_0_3(pin: str, form: PinFormat) -> bytes:
    count = BLOCK_NIBBLES - 2 - len(pin)
    fill = "F" * count if form is PinFormat.ISO_0 else "".join(secrets.choice(FILL_3) for _ in range(count))
    return bytes.fromhex(f"{form:X}{len(pin):X}{pin}{fill}")


def _pan_field_0(pan: str) -> bytes:
    _require_digits(pan)
    if len(pan) <= PAN_DIGITS_0:
        raise FieldInvalid(f"a card number of {PAN_DIGITS_0} digits or less fits no format 0 block", field="fields.pan")
    return bytes.fromhex(f"0000{pan[-PAN_DIGITS_0 - 1 : -1]}")


def _decipher_0_3(block: bytes, pan: str, key: bytes, form: PinFormat) -> str:
    if form not in (PinFormat.ISO_0, PinFormat.ISO_3) or len(block) * 2 != BLOCK_NIBBLES:
        raise _broken()
    mixed = Cipher(_tdes(key), modes.ECB()).decryptor().update(block)  # noqa: S305 (as in translate)
    # The first two bytes of the card number's field are zero: control and length stay readable.
    clear = _xor(mixed, _pan_field_0(pan)).hex().upper()
    if clear[0] != f"{form:X}":
        raise _broken()
    return _take_pin(clear, frozenset("F" if form is PinFormat.ISO_0 else FILL_3))


def _pan_field_4(pan: str) -> bytes:
    _require_digits(pan)
    shown = pan.rjust(PAN_DIGITS_0, "0")
    return bytes.fromhex(f"{len(shown) - PAN_DIGITS_0}{shown}".ljust(2 * BLOCK_NIBBLES, "0"))


def _encipher_4(pin: str, pan: str, key: bytes) -> bytes:
    field = bytes.fromhex(f"4{len(pin):X}{pin}".ljust(BLOCK_NIBBLES, "A")) + secrets.token_bytes(BLOCK_NIBBLES // 2)
    cipher = Cipher(_aes(key), modes.ECB())  # noqa: S305 (format 4 is defined over single AES blocks)
    return cipher.encryptor().update(_xor(cipher.encryptor().update(field), _pan_field_4(pan)))


def _decipher_4(block: bytes, pan: str, key: bytes) -> str:
    if len(block) != BLOCK_NIBBLES:
        raise _broken()
    cipher = Cipher(_aes(key), modes.ECB())  # noqa: S305 (as in _encipher_4)
    field = cipher.decryptor().update(_xor(cipher.decryptor().update(block), _pan_field_4(pan)))
    clear = field.hex().upper()[:BLOCK_NIBBLES]
    if clear[0] != "4":
        raise _broken()
    return _take_pin(clear, frozenset("A"))


def _take_pin(clear: str, fill: frozenset[str]) -> str:
    end = 2 + int(clear[1], 16)
    pin = clear[2:end]
    if not PIN_MIN <= end - 2 <= PIN_MAX or not pin.isdigit() or not fill.issuperset(clear[end:]):
        raise _broken()
    return pin


def _require_pin(digits: str) -> None:
    if not (PIN_MIN <= len(digits) <= PIN_MAX and digits.isascii() and digits.isdigit()):
        raise FieldInvalid(f"a PIN has {PIN_MIN} to {PIN_MAX} digits", field="pin")


def _require_digits(pan: str) -> None:
    if not (pan.isascii() and pan.isdigit() and len(pan) <= PAN_MAX):
        raise FieldInvalid("the card number is no card number", field="fields.pan")


def _tdes(key: bytes) -> TripleDES:
    half = TDES_KEY_BYTES // 2
    if len(key) != TDES_KEY_BYTES or key[:half] == key[half:]:
        raise Misconfigured("a TDES zone key has 16 bytes, its halves are different")
    return TripleDES(key + key[:half])


def _aes(key: bytes) -> AES:
    if len(key) not in AES_KEY_BYTES:
        raise Misconfigured("an AES zone key has 16, 24 or 32 bytes")
    return AES(key)


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))


def _broken() -> Malformed:
    return Malformed("the PIN block is not valid")
