"""AES DUKPT (ANSI X9.24-3:2017): one key for each transaction, from a base key and the serial number that travels."""

import struct
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from tallystick.errors import Malformed, Misconfigured

KSN_BYTES: Final = 12  # initial key id and counter
ID_BYTES: Final = 8  # of the initial key id
COUNTER_BITS: Final = 32
ONES_MAX: Final = 16  # bits set in a counter; a device skips the others
AES_BLOCK: Final = 16  # bytes
VERSION: Final = 1  # of the derivation data


class DerivedUse(IntEnum):
    """What a derived key is for (X9.24-3 table 3)."""

    PIN = 0x1000
    MAC_GENERATE = 0x2000
    MAC_VERIFY = 0x2001
    MAC = 0x2002
    DATA_ENCRYPT = 0x3000
    DATA_DECRYPT = 0x3001
    DATA = 0x3002
    DERIVATION = 0x8000
    INITIAL = 0x8001


class DerivedType(IntEnum):
    """Which algorithm a derived key is for (X9.24-3 table 2)."""

    TDES_2 = 0
    AES_128 = 2
    AES_192 = 3
    AES_256 = 4


BYTES: Final[Mapping[DerivedType, int]] = MappingProxyType(
    {DerivedType.TDES_2: 16, DerivedType.AES_128: 16, DerivedType.AES_192: 24, DerivedType.AES_256: 32}
)
_TYPES: Final = MappingProxyType({16: DerivedType.AES_128, 24: DerivedType.AES_192, 32: DerivedType.AES_256})


def counter_of(ksn: bytes) -> int:
    """Read the transaction counter; raises Malformed for one that no device uses (X9.24-3 6.4)."""
    if len(ksn) != KSN_BYTES:
        raise Malformed(f"an AES DUKPT serial number has {KSN_BYTES} bytes")
    counter = int.from_bytes(ksn[ID_BYTES:])
    if not 1 <= counter.bit_count() <= ONES_MAX:
        raise Malformed("the serial number's counter is one that no device uses")
    return counter


def next_counter(counter: int) -> int:
    """Return the counter that a device uses after this one (0: the first); raises Misconfigured when none is left."""
    counter += 1
    while counter.bit_count() > ONES_MAX:
        counter += counter & -counter
    if counter >> COUNTER_BITS:
        raise Misconfigured("this PIN key has used up its counters: give the device a new one")
    return counter


def initial_key(base: bytes, key_id: bytes) -> bytes:
    """Derive a device's initial key from the base derivation key and the device's initial key id of eight bytes."""
    if len(key_id) != ID_BYTES:
        raise Malformed(f"an initial key id has {ID_BYTES} bytes")
    return _derive(base, DerivedUse.INITIAL, _type(base), key_id)


def transaction_key(initial: bytes, ksn: bytes, use: DerivedUse, kind: DerivedType) -> bytes:
    """Derive the key of one transaction and one use from the initial key.

    This is the host's way: a device that must not give away earlier keys when it is opened keeps intermediate keys
    instead, and comes to the same key. Raises Malformed for a serial number that no device uses, Misconfigured for an
    initial key that is no AES key or weaker than the key asked for.
    """
    if kind > _type(initial):
        raise Misconfigured("a derived key is never stronger than the key it is derived from")
    return _derive(derivation_key(initial, ksn), use, kind, ksn[ID_BYTES // 2 :])


def derivation_key(initial: bytes, ksn: bytes) -> bytes:
    """Derive what all keys of one transaction are derived from; no use of its own. Raises as `transaction_key`."""
    counter, own = counter_of(ksn), _type(initial)
    key, context, seen = initial, ksn[ID_BYTES // 2 : ID_BYTES], 0
    for bit in range(COUNTER_BITS - 1, -1, -1):
        if counter >> bit & 1:
            seen |= 1 << bit
            key = _derive(key, DerivedUse.DERIVATION, own, context + seen.to_bytes(4))
    return key


def _derive(key: bytes, use: DerivedUse, kind: DerivedType, context: bytes) -> bytes:
    size, cipher = BYTES[kind], Cipher(AES(key), modes.ECB())  # noqa: S305 (X9.24-3 6.3.1 says so)
    encryptor, derived = cipher.encryptor(), b""
    for block in range(1, -(-size // AES_BLOCK) + 1):
        derived += encryptor.update(struct.pack(">BBHHH", VERSION, block, use, kind, size * 8) + context)
    return derived[:size]


def _type(key: bytes) -> DerivedType:
    if len(key) not in _TYPES:
        raise Misconfigured("an AES DUKPT key has 16, 24 or 32 bytes")
    return _TYPES[len(key)]
