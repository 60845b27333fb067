"""One unambiguous byte string out of several texts: what HPKE `info`, AEAD context and JWE `apv` are made of."""

import struct
from typing import Final

from tallystick import errors

LENGTH_BYTES: Final = 4  # bytes of the big-endian length before each part
_LENGTH: Final = struct.Struct(">I").pack


def bind(*parts: str) -> bytes:
    """Encode `parts` so that no other list of parts gives the same bytes.

    Each part is its UTF-8 form behind its length in bytes, four bytes big-endian; nothing is normalised, so any
    language reproduces it: `bind("a", "é")` is `00000001 61 00000002 c3a9`. No part at all gives the empty string.

    Raises:
        FieldInvalid: a part is no Unicode text (a lone surrogate, as careless JSON readers let through).
    """
    pieces: list[bytes] = []
    try:
        for part in parts:
            encoded = part.encode()
            pieces.append(_LENGTH(len(encoded)))
            pieces.append(encoded)
    except UnicodeEncodeError:
        raise errors.FieldInvalid("a bound text is not valid Unicode") from None
    return b"".join(pieces)
