"""The hash chain: how an entry becomes bytes, and each link names the one before.

    hash(n) = SHA-256(DOMAIN ‖ hash(n - 1) ‖ body(n)),   hash(0) = 32 zero bytes

`body` is the entry as JSON, an array in the order of `Entry`, with sorted names and without blanks. It is stored as it
was hashed, so that nobody ever has to encode it again in just the same way.
"""

import hashlib
from typing import Final

import msgspec

from tallystick.audit.model import Entry, Head, Link
from tallystick.errors import Malformed

DOMAIN: Final = b"tallystick audit 1\n"

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder(Entry).decode


def link(head: Head, entry: Entry) -> Link:
    """Make the link that follows `head`."""
    body = _encode(entry)
    return Link(seq=entry.seq, body=body, hash=chained(head.hash, body))


def chained(before: bytes, body: bytes) -> bytes:
    """Return the hash of the link that has `body` and follows the one with the hash `before`."""
    return hashlib.sha256(DOMAIN + before + body).digest()


def read(body: bytes) -> Entry:
    """Read an entry back; raises Malformed when the bytes are none."""
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Malformed("the bytes of an audit entry are none") from None
