"""Keys that have successors: what one seals or digests names its version, so that a later reader knows which it was.

    header      1 byte format (1), 4 bytes version, big-endian
    sealed      header, then `box.seal`, with the header bound as associated data
    digest      header, then 32 bytes of `kdf.digest`

The header is no secret. A changed one names another key, under which nothing opens.
"""

import struct
from dataclasses import dataclass, field
from typing import Final

from tallystick.crypto import box, kdf
from tallystick.crypto.mac import cmac
from tallystick.errors import EnvelopeUnopenable

FORMAT: Final = 1
HEADER: Final = struct.Struct(">BI")
VERSION_MAX: Final = 2**32 - 1  # rotations of one purpose
CHECK_BYTES: Final = 5  # bytes of a key check value (ANSI X9.24-1:2017, annex A: CMAC of a block of zeros)
BLOCK_BYTES: Final = 16  # bytes of an AES block


@dataclass(frozen=True, slots=True)
class VersionedKey:
    """One 32-byte key of one purpose; versions of a purpose count from 1."""

    version: int
    secret: bytes = field(repr=False)


def header(version: int) -> bytes:
    """Return the five bytes that lead whatever was made under a version."""
    return HEADER.pack(FORMAT, version)


def version_of(made: bytes) -> int:
    """Return the version a sealed value or digest names.

    Raises:
        EnvelopeUnopenable: this is neither: for a value of our own store that means damage or tampering.
    """
    if len(made) < HEADER.size or made[0] != FORMAT:
        raise EnvelopeUnopenable("the value names no key version")
    version: int = HEADER.unpack_from(made)[1]
    return version


def seal(key: VersionedKey, plaintext: bytes, context: bytes) -> bytes:
    """Seal as `box.seal` does, under a header that is bound to the rest."""
    head = header(key.version)
    return head + box.seal(key.secret, plaintext, head + context)


def unseal(key: VersionedKey, sealed: bytes, context: bytes) -> bytes:
    """Open what `seal` made; the caller found `key` by `version_of`.

    Raises:
        EnvelopeUnopenable: another key or context, or altered bytes, in one answer.
    """
    return box.unseal(key.secret, sealed[HEADER.size :], sealed[: HEADER.size] + context)


def digest(key: VersionedKey, *parts: str) -> bytes:
    """Digest as `kdf.digest` does, under a header: rows of an older key stand before all newer ones in an index."""
    return header(key.version) + kdf.digest(key.secret, *parts)


def check_value(secret: bytes) -> str:
    """Return the check value of a key in hexadecimal: it identifies the key to people and tells nothing of it."""
    return cmac(secret, bytes(BLOCK_BYTES))[:CHECK_BYTES].hex().upper()
