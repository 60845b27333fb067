"""PIN blocks of ISO 9564-1 formats 0, 1, 3 and 4: built by a sender, verified by an issuer.

A clear PIN exists in no variable outside `crypto` but where a person's PIN is taken in. Python cannot erase a string,
so the process's memory holds it somewhat longer than needed; what stands between is `pin_translate`.
"""

import hmac
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from tallystick.crypto.pin_fields import BLOCK_NIBBLES, PinFormat, broken, pan_field_0, pan_field_4, pin_field, read_pin
from tallystick.errors import CredentialRefused, Misconfigured
from tallystick.secret import Secret

__all__ = ["PinFormat", "check_key", "decipher", "encipher", "pin_block_1", "verify"]

TDES_KEY_BYTES: Final = 16  # K1 and K2
AES_KEY_BYTES: Final = frozenset({16, 24, 32})


def pin_block_1(pin: Secret) -> Secret:
    """Build a clear format 1 block in hex with random fill, for a sender that has neither card number nor PIN key.

    It is the sender's duty to seal it at once: format 1 hides nothing and binds to no card. Raises FieldInvalid for
    anything but 4 to 12 digits: ask the payer again.
    """
    return Secret(pin_field(pin.reveal(), PinFormat.ISO_1).hex().upper())


def encipher(pin: Secret, form: PinFormat, key: bytes, pan: Secret | None = None) -> bytes:
    """Build an enciphered block: 8 bytes of double-length TDES, or 16 bytes of AES for format 4 (ISO 9564-1).

    `pan` is the card number or the number that stands for it; format 1 takes none. Raises FieldInvalid for a PIN or
    number that the format cannot carry, Misconfigured for a key that does not fit.
    """
    field = pin_field(pin.reveal(), form)
    if form is PinFormat.ISO_4:
        cipher = Cipher(_aes(key), modes.ECB())  # noqa: S305 (format 4 is defined over single AES blocks)
        return cipher.encryptor().update(_xor(cipher.encryptor().update(field), pan_field_4(_digits(pan))))
    clear = field if form is PinFormat.ISO_1 else _xor(field, pan_field_0(_digits(pan)))
    return Cipher(_tdes(key), modes.ECB()).encryptor().update(clear)  # noqa: S305 (one block: ISO 9564-2 says so)


def decipher(block: bytes, form: PinFormat, key: bytes, pan: Secret | None = None) -> Secret:
    """Take the clear PIN out of a block; for `crypto` alone (tests/architecture).

    Raises Malformed for no valid block of this format under this key and number, FieldInvalid and Misconfigured as
    `encipher`.
    """
    if form is PinFormat.ISO_4:
        if len(block) != BLOCK_NIBBLES:
            raise broken()
        cipher = Cipher(_aes(key), modes.ECB())  # noqa: S305 (as in encipher)
        field = cipher.decryptor().update(_xor(cipher.decryptor().update(block), pan_field_4(_digits(pan))))
        return Secret(read_pin(field, form))
    if len(block) * 2 != BLOCK_NIBBLES:
        raise broken()
    clear = Cipher(_tdes(key), modes.ECB()).decryptor().update(block)  # noqa: S305 (as in encipher)
    return Secret(read_pin(clear if form is PinFormat.ISO_1 else _xor(clear, pan_field_0(_digits(pan))), form))


def verify(block: bytes, pan: Secret, zone_key: bytes, form: PinFormat, expected: Secret) -> None:
    """Decipher a block of format 0, 3 or 4 and compare its PIN with the expected one: the issuer's side.

    1. The format binds to a card number: format 1 is refused.
    2. The deciphered block is well formed for `form` and `pan`.
    3. Its PIN equals `expected`, compared in constant time.

    Left to the caller: counting tries before this check.

    Raises:
        Malformed: no valid block: wrong key, wrong card number or altered bytes, deliberately one answer.
        CredentialRefused: a valid block with another PIN.
        FieldInvalid, Misconfigured: card number or key do not fit the format.
    """
    # 1.
    if form is PinFormat.ISO_1:
        raise broken()
    # 2.
    pin = decipher(block, form, zone_key, pan)
    # 3.
    if not hmac.compare_digest(pin.reveal(), expected.reveal()):
        raise CredentialRefused("wrong_pin")


def check_key(form: PinFormat, key: bytes) -> None:
    """Refuse a key that does not fit the format, or a TDES key with equal halves; Misconfigured."""
    if form is PinFormat.ISO_4:
        _aes(key)
    else:
        _tdes(key)


def _digits(pan: Secret | None) -> str:
    if pan is None:
        raise Misconfigured("this format needs a card number or the number that stands for it")
    return pan.reveal()


def _tdes(key: bytes) -> TripleDES:
    half = TDES_KEY_BYTES // 2
    if len(key) != TDES_KEY_BYTES or key[:half] == key[half:]:
        raise Misconfigured("a TDES PIN key has 16 bytes, its halves are different")
    return TripleDES(key + key[:half])


def _aes(key: bytes) -> AES:
    if len(key) not in AES_KEY_BYTES:
        raise Misconfigured("an AES PIN key has 16, 24 or 32 bytes")
    return AES(key)


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))
