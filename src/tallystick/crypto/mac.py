"""Message authentication codes of ISO 8583 links: AES-CMAC, the ANSI X9.19 retail MAC, UnionPay's terminal MAC."""

import hmac
from enum import StrEnum
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from tallystick.errors import Misconfigured, SignatureInvalid

TAG_BYTES: Final = 8  # bytes of DE64 and DE128, whatever the algorithm
CMAC_BYTES: Final = 16  # bytes of a whole AES-CMAC
DES_BLOCK: Final = 8  # bytes
AES_KEY_BYTES: Final = frozenset({16, 24, 32})
TDES_KEY_BYTES: Final = 16  # K1 and K2


class MacAlgorithm(StrEnum):
    """How the messages of one link are authenticated; agreed with the peer, never negotiated."""

    CMAC = "cmac"
    X9_19 = "x9.19"
    POS_ECB = "pos-ecb"


def tag(algorithm: MacAlgorithm, key: bytes, message: bytes) -> bytes:
    """Return the eight bytes of DE64 or DE128 over `message`; raises Misconfigured for a key that does not fit."""
    match algorithm:
        case MacAlgorithm.CMAC:
            return cmac(key, message, TAG_BYTES)
        case MacAlgorithm.X9_19:
            return retail_mac(key, message)
        case MacAlgorithm.POS_ECB:
            return pos_mac(key, message)


def verify(algorithm: MacAlgorithm, key: bytes, message: bytes, given: bytes) -> None:
    """Check an eight-byte MAC in constant time.

    1. `given` has exactly eight bytes: a shorter one is never compared with a prefix.
    2. It equals the MAC of `message`.

    Left to the caller: freshness and replay (DE7, DE11), and that the MAC covers every element it believes.

    Raises:
        SignatureInvalid: believe nothing of the message.
        Misconfigured: the key does not fit the algorithm.
    """
    expected = tag(algorithm, key, message)
    # 1. and 2.: compare_digest answers False for a different length
    if not hmac.compare_digest(expected, given):
        raise SignatureInvalid("the message's MAC does not match")


def check_key(algorithm: MacAlgorithm, key: bytes) -> None:
    """Refuse a key of wrong length, or a double-length DES key with equal halves; Misconfigured."""
    if algorithm is MacAlgorithm.CMAC:
        if len(key) not in AES_KEY_BYTES:
            raise Misconfigured("an AES-CMAC key has 16, 24 or 32 bytes")
    elif len(key) != TDES_KEY_BYTES or key[:DES_BLOCK] == key[DES_BLOCK:]:
        raise Misconfigured("a TDES MAC key has 16 bytes, its halves are different")


def cmac(key: bytes, message: bytes, length: int = CMAC_BYTES) -> bytes:
    """Compute AES-CMAC (RFC 4493, NIST SP 800-38B), cut to its first `length` bytes (8 to 16)."""
    if not TAG_BYTES <= length <= CMAC_BYTES:
        raise Misconfigured(f"an AES-CMAC is used with {TAG_BYTES} to {CMAC_BYTES} bytes")
    check_key(MacAlgorithm.CMAC, key)
    context = CMAC(AES(key))
    context.update(message)
    return context.finalize()[:length]


def retail_mac(key: bytes, message: bytes) -> bytes:
    """Compute the eight-byte ANSI X9.19 MAC (ISO/IEC 9797-1 algorithm 3 with padding method 1) under K1 | K2.

    Padding method 1 adds zeros only, so a message and the same with zeros behind it have one MAC: the caller's message
    must end where its own structure says, as an ISO 8583 message does (`iso8583.message` refuses bytes behind the end).
    """
    check_key(MacAlgorithm.X9_19, key)
    padded = message + bytes(-len(message) % DES_BLOCK) or bytes(DES_BLOCK)
    k1 = key[:DES_BLOCK]
    chained = bytes(DES_BLOCK)
    if head := padded[:-DES_BLOCK]:
        single = Cipher(TripleDES(k1 * 3), modes.CBC(chained)).encryptor()
        chained = single.update(head)[-DES_BLOCK:]
    # Algorithm 3 ends with E(K1, D(K2, E(K1, x))), which is one triple-DES step under K1 K2 K1.
    triple = Cipher(TripleDES(key + k1), modes.CBC(chained)).encryptor()
    return triple.update(padded[-DES_BLOCK:])


def pos_mac(key: bytes, message: bytes) -> bytes:
    """Compute the "ECB" MAC of UnionPay's terminal link under K1 | K2: eight hexadecimal digits, as text.

    All blocks are folded into one by exclusive or, so blocks that change places leave it as it is, and only four bytes
    of cipher text are kept: it finds transmission errors. A link that has it must be authenticated below (TLS).
    """
    check_key(MacAlgorithm.POS_ECB, key)
    padded = message + bytes(-len(message) % DES_BLOCK)
    folded = 0
    for start in range(0, len(padded), DES_BLOCK):
        folded ^= int.from_bytes(padded[start : start + DES_BLOCK])
    digits = f"{folded:016X}".encode()
    triple = Cipher(TripleDES(key + key[:DES_BLOCK]), modes.CBC(bytes(DES_BLOCK))).encryptor()
    return triple.update(digits)[-DES_BLOCK:].hex().upper().encode()[:TAG_BYTES]
