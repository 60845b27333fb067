"""The MAC key of an API key: who has the one can derive the other, and the platform keeps neither."""

from typing import Final

from tallystick.crypto import kdf
from tallystick.crypto.signing import HmacKey
from tallystick.secret import Secret

_PURPOSE: Final = "tallystick part of an API key"


def part_key(token: Secret) -> HmacKey:
    """Derive the key that a holder signs its own half with (HKDF, RFC 5869), over TLS and under the same API key."""
    return HmacKey(kdf.derive(token.reveal().encode(), _PURPOSE))
