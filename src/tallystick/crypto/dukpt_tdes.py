"""TDES DUKPT (ANSI X9.24-1:2009): one key for each transaction of a terminal, for terminals that have no AES."""

from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from tallystick.errors import Malformed, Misconfigured

KSN_BYTES: Final = 10  # 59 bits of key set and device, 21 bits of counter
KEY_BYTES: Final = 16
HALF: Final = 8  # bytes
COUNTER_BITS: Final = 21
COUNTER_MASK: Final = (1 << COUNTER_BITS) - 1
ONES_MAX: Final = 10  # bits set in a counter; a device skips the others
VARIANT: Final = bytes.fromhex("C0C0C0C000000000C0C0C0C000000000")
PIN_VARIANT: Final = bytes.fromhex("00000000000000FF00000000000000FF")


def counter_of(ksn: bytes) -> int:
    """Read the transaction counter; raises Malformed for one that no device uses (X9.24-1 A.3)."""
    if len(ksn) != KSN_BYTES:
        raise Malformed(f"a TDES DUKPT serial number has {KSN_BYTES} bytes")
    counter = int.from_bytes(ksn) & COUNTER_MASK
    if not 1 <= counter.bit_count() <= ONES_MAX:
        raise Malformed("the serial number's counter is one that no device uses")
    return counter


def device_of(ksn: bytes) -> bytes:
    """Return the serial number without its counter: what names the device's initial key."""
    return (int.from_bytes(ksn) & ~COUNTER_MASK).to_bytes(len(ksn))


def initial_key(base: bytes, ksn: bytes) -> bytes:
    """Derive a device's initial key from the base derivation key (X9.24-1 A.6)."""
    if len(base) != KEY_BYTES:
        raise Misconfigured(f"a TDES DUKPT key has {KEY_BYTES} bytes")
    device = device_of(ksn)[:HALF]
    return b"".join(_triple(key, device) for key in (base, _xor(base, VARIANT)))


def pin_key(initial: bytes, ksn: bytes) -> bytes:
    """Derive the PIN key of one transaction; raises Malformed for a serial number that no device uses."""
    return _xor(transaction_key(initial, ksn), PIN_VARIANT)


def transaction_key(initial: bytes, ksn: bytes) -> bytes:
    """Derive the key all keys of one transaction are variants of; no use of its own (X9.24-1 A.2)."""
    counter, register = counter_of(ksn), device_of(ksn)[-HALF:]
    key = initial
    for bit in range(COUNTER_BITS - 1, -1, -1):
        if counter >> bit & 1:
            register = (int.from_bytes(register) | 1 << bit).to_bytes(HALF)
            key = _half(_xor(key, VARIANT), register) + _half(key, register)
    return key


def _half(key: bytes, register: bytes) -> bytes:
    """Compute one half of a key that does not lead back: DES under the left half, masked by the right one."""
    left, right = key[:HALF], key[HALF:]
    single = Cipher(TripleDES(left * 3), modes.ECB()).encryptor()  # noqa: S305 (X9.24-1 says so)
    return _xor(single.update(_xor(register, right)), right)


def _triple(key: bytes, block: bytes) -> bytes:
    return Cipher(TripleDES(key + key[:HALF]), modes.ECB()).encryptor().update(block)  # noqa: S305 (as above)


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))
