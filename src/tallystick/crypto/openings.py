"""Find sealed values in bytes of any kind, by trying a key at every offset.

A value of `box.seal` needs no length and no context to betray itself to who has its key: its first block of plaintext
is the ciphertext XORed with one block of AES (NIST SP 800-38D, section 6.5: the counter block behind a 12-byte nonce).
So a key can be tried at each offset of a dump, of free pages of a database or of a log, whatever lies there.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tallystick.crypto.box import NONCE_BYTES

BLOCK_BYTES: Final = 16  # bytes of an AES block
CHUNK_BYTES: Final = 512 * 1024  # bytes looked at in one go; each takes 32 bytes of memory

_FIRST: Final = (2).to_bytes(4)  # GCM's counter of the first block of ciphertext
_IS_DIGIT: Final = bytes(1 if chr(byte).isdigit() and byte < 128 else 0 for byte in range(256))  # noqa: PLR2004 - ASCII


def openings(data: bytes, keys: Iterable[bytes], *, start: bytes, digits: int) -> Iterator[int]:
    """Yield each offset at which a sealed value begins that one of `keys` (32 bytes each) opens.

    A value counts when its plaintext begins with `start` (8 to 16 bytes, so that chance finds none), or with as many
    ASCII digits as `digits` (12 to 16).
    """
    distinct = sorted(set(keys))
    for base in range(0, len(data), CHUNK_BYTES):
        chunk = data[base : base + CHUNK_BYTES + NONCE_BYTES + BLOCK_BYTES]
        last = min(CHUNK_BYTES, len(chunk) - NONCE_BYTES - BLOCK_BYTES + 1)
        if last <= 0:
            return
        counters = b"".join([chunk[at : at + NONCE_BYTES] + _FIRST for at in range(last)])
        values = b"".join([chunk[at + NONCE_BYTES : at + NONCE_BYTES + BLOCK_BYTES] for at in range(last)])
        whole = int.from_bytes(values)
        for key in distinct:
            stream = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(counters)  # noqa: S305 - one block of CTR
            clear = (int.from_bytes(stream) ^ whole).to_bytes(len(values))
            yield from (base + at for at in sorted({*_beginning(clear, start), *_numbers(clear, digits)}))


def _beginning(clear: bytes, start: bytes) -> Iterator[int]:
    at = clear.find(start)
    while at >= 0:
        if at % BLOCK_BYTES == 0:
            yield at // BLOCK_BYTES
        at = clear.find(start, at + 1)


def _numbers(clear: bytes, digits: int) -> Iterator[int]:
    every = int.from_bytes(clear[0::BLOCK_BYTES].translate(_IS_DIGIT))
    for place in range(1, digits):
        every &= int.from_bytes(clear[place::BLOCK_BYTES].translate(_IS_DIGIT))
    marks = every.to_bytes(len(clear) // BLOCK_BYTES)
    at = marks.find(1)
    while at >= 0:
        yield at
        at = marks.find(1, at + 1)
