"""Numbers that stand for a card number in a PIN block, and the record that binds one to a card and a payment.

PCI PIN 3-3 lets a block over such a number become a block over the card number only where the two are bound by
cryptography. The number is no card number: it begins with 9, which ISO/IEC 7812 leaves to national use, and fails the
Luhn check, so no issuer has it and nothing takes it for a card.
"""

import hmac
import re
from typing import Final

from tallystick.crypto import kdf, mac
from tallystick.crypto.binding import bind
from tallystick.errors import Forbidden
from tallystick.runtime import Randomness, random_digits
from tallystick.secret import Pan

TOKEN_DIGITS: Final = 16
LEADING: Final = "9"
TOKEN: Final = re.compile(r"9[0-9]{11,18}")


def new_token(randomness: Randomness) -> str:
    """Make a number that stands for a card number: sixteen digits, of which fourteen are random."""
    body = LEADING + random_digits(TOKEN_DIGITS - 2, randomness)
    return body + str((luhn_digit(body) + 1 + randomness.below(9)) % 10)


def luhn_digit(body: str) -> int:
    """Return the digit that would make `body` pass ISO/IEC 7812-1 annex B."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in body[::-2])
    return -(sum(doubled) + sum(int(digit) for digit in body[-2::-2])) % 10


def record(key: bytes, token: str, pan: Pan, payment_id: str) -> bytes:
    """Bind a token to a card and a payment: AES-CMAC over token, keyed digest of the card number, payment id.

    `key` has 32 bytes and serves nothing else. Raises Forbidden for a token that could be a card number.
    """
    if not TOKEN.fullmatch(token) or token[-1] == str(luhn_digit(token[:-1])):
        raise Forbidden("the number in the PIN block could be a card number")
    digest = kdf.digest(kdf.derive(key, "pin-token card digest"), pan.reveal())
    return mac.cmac(kdf.derive(key, "pin-token binding"), bind(token, digest.hex(), payment_id))


def check(key: bytes, token: str, pan: Pan, payment_id: str, given: bytes) -> None:
    """Refuse a token that is not bound to this card and payment; Forbidden, compared in constant time."""
    if not hmac.compare_digest(record(key, token, pan, payment_id), given):
        raise Forbidden("the PIN block is bound to another card or payment")
