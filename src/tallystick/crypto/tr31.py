"""TR-31 / ANSI X9.143 key blocks, versions B (TDES) and D (AES): a key that travels with what it may be used for.

A block is printable text: sixteen characters of header, optional blocks, the enciphered key, a MAC. Key and MAC keys
are derived from the key block protection key (KBPK); the MAC covers header and clear key, and is the cipher's
initialisation vector. Versions A and C (key variants) are refused as the standard's own successors ask.
"""

import hmac
import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from msgspec import Struct

from tallystick.crypto.tr31_header import (
    CIPHER_BLOCKS,
    HEX,
    BlockVersion,
    KeyAlgorithm,
    KeyBlockHeader,
    KeyUsage,
    read_header,
    write_header,
)
from tallystick.errors import Forbidden, Malformed, Misconfigured, SignatureInvalid
from tallystick.runtime import Randomness
from tallystick.secret import Secret

DES_BLOCK: Final = 8  # bytes
CHECK_VALUE_BYTES: Final = 3
SEPARATOR: Final = 0  # between usage and algorithm in what keys are derived from
ENCRYPTION, AUTHENTICATION = 0, 1  # usages of derived keys

KEY_BYTES: Final[Mapping[KeyAlgorithm, tuple[int, ...]]] = {
    KeyAlgorithm.TDES: (16, 24),
    KeyAlgorithm.AES: (16, 24, 32),
    KeyAlgorithm.HMAC: tuple(range(16, 65)),
}
"""Permitted lengths; every key is padded to the longest of its algorithm, so that a block does not tell."""
ALGORITHM_NUMBERS: Final[Mapping[BlockVersion, Mapping[int, int]]] = {
    BlockVersion.B: {16: 0, 24: 1},
    BlockVersion.D: {16: 2, 24: 3, 32: 4},
}
"""What stands for the cipher in a key's derivation, for each length of the KBPK in bytes."""


class WrappedKey(Struct, frozen=True):
    """A key out of a block, in hexadecimal, and what it may be used for."""

    header: KeyBlockHeader
    key: Secret


def wrap(kbpk: bytes, header: KeyBlockHeader, key: bytes, randomness: Randomness) -> str:
    """Wrap a key under a key block protection key; the block's length does not tell the key's.

    Raises Misconfigured for a KBPK or key that does not fit, Malformed for optional blocks that do not.
    """
    cipher_key, mac_key = _derived(header.version, kbpk)
    if not _fits(header.algorithm, key):
        raise Misconfigured("the key does not fit the algorithm that its key block names")
    size = CIPHER_BLOCKS[header.version]
    longest = 2 + KEY_BYTES[header.algorithm][-1]
    padding = randomness.token(longest + -longest % size - 2 - len(key))
    clear = (len(key) * 8).to_bytes(2) + key + padding
    head = write_header(header, 2 * (len(clear) + size))
    mac = _cmac(header.version, mac_key, head.encode() + clear)
    enciphered = Cipher(_cipher(header.version, cipher_key), modes.CBC(mac)).encryptor().update(clear)
    return head + (enciphered + mac).hex().upper()


def unwrap(kbpk: bytes, block: str, *, usage: KeyUsage) -> WrappedKey:
    """Open a key block for one usage.

    1. It is one block of version B or D with a known header, as long as it says, and the KBPK fits that version.
    2. Its MAC, compared in constant time, covers header, optional blocks and clear key.
    3. The key has the length that it says, and fits the algorithm.
    4. The key may be used for `usage`.

    Left to the caller: `mode`, `exportability` and `key_version`, and that the key was not given before.

    Raises:
        Malformed: no such block, or a version that is refused (A, C).
        SignatureInvalid: another KBPK, or altered: believe nothing of it.
        Forbidden: a key for another usage.
        Misconfigured: the KBPK does not fit the block.
    """
    # 1.
    header, start = read_header(block)
    enciphered, mac = _body(block[start:], CIPHER_BLOCKS[header.version])
    cipher_key, mac_key = _derived(header.version, kbpk)
    clear = Cipher(_cipher(header.version, cipher_key), modes.CBC(mac)).decryptor().update(enciphered)
    # 2. The MAC covers the clear key, so it is deciphered first; nothing of it is read before the MAC is known.
    if not hmac.compare_digest(_cmac(header.version, mac_key, block[:start].encode() + clear), mac):
        raise SignatureInvalid("the key block's MAC does not match")
    # 3.
    bits = int.from_bytes(clear[:2])
    key = clear[2 : 2 + bits // 8]
    if bits % 8 or len(key) * 8 != bits or not _fits(header.algorithm, key):
        raise Malformed("the key in the key block does not fit its algorithm")
    # 4.
    if header.usage is not usage:
        raise Forbidden("the key block's key is for another usage")
    return WrappedKey(header, Secret(key.hex().upper()))


def check_value(algorithm: KeyAlgorithm, key: bytes) -> str:
    """Return six hexadecimal digits by which people compare keys (ANSI X9.24-1).

    TDES: the beginning of an enciphered zero block; AES: of the CMAC of one. Raises Misconfigured for other keys.
    """
    if algorithm is KeyAlgorithm.HMAC or not _fits(algorithm, key):
        raise Misconfigured("only TDES and AES keys have a check value")
    if algorithm is KeyAlgorithm.AES:
        return _cmac(BlockVersion.D, key, bytes(AES.block_size // 8))[:CHECK_VALUE_BYTES].hex().upper()
    zero = Cipher(_cipher(BlockVersion.B, key), modes.ECB()).encryptor().update(bytes(DES_BLOCK))  # noqa: S305 (X9.24-1)
    return zero[:CHECK_VALUE_BYTES].hex().upper()


def _body(text: str, size: int) -> tuple[bytes, bytes]:
    """Return the enciphered key and the MAC."""
    if len(text) < 4 * size or len(text) % (2 * size) or not HEX.fullmatch(text):
        raise Malformed("the key block's key or MAC is not in hexadecimal, or too short")
    body = bytes.fromhex(text)
    return body[:-size], body[-size:]


def _fits(algorithm: KeyAlgorithm, key: bytes) -> bool:
    """Tell whether a key has a permitted length; a TDES key whose neighbouring parts are equal is single DES."""
    if len(key) not in KEY_BYTES[algorithm]:
        return False
    parts = [key[start : start + DES_BLOCK] for start in range(0, len(key), DES_BLOCK)]
    return algorithm is not KeyAlgorithm.TDES or all(one != other for one, other in pairwise(parts))


def _derived(version: BlockVersion, kbpk: bytes) -> tuple[bytes, bytes]:
    """Derive encryption and MAC key by CMAC in counter mode (TR-31:2018 5.3.2.1 and 5.3.2.3)."""
    if not _fits(KeyAlgorithm.TDES if version is BlockVersion.B else KeyAlgorithm.AES, kbpk):
        raise Misconfigured("the key block protection key does not fit the key block's version")
    number, bits = ALGORITHM_NUMBERS[version][len(kbpk)], 8 * len(kbpk)
    counters = range(1, -(-len(kbpk) // CIPHER_BLOCKS[version]) + 1)

    def derive(use: int) -> bytes:
        texts = (struct.pack(">BHBHH", counter, use, SEPARATOR, number, bits) for counter in counters)
        return b"".join(_cmac(version, kbpk, text) for text in texts)[: len(kbpk)]

    return derive(ENCRYPTION), derive(AUTHENTICATION)


def _cmac(version: BlockVersion, key: bytes, text: bytes) -> bytes:
    context = CMAC(_cipher(version, key))
    context.update(text)
    return context.finalize()


def _cipher(version: BlockVersion, key: bytes) -> AES | TripleDES:
    if version is BlockVersion.D:
        return AES(key)
    return TripleDES(key if len(key) == 3 * DES_BLOCK else key + key[:DES_BLOCK])
