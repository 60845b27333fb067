"""Length-framed JSON, as a helper process has it on its standard input and output."""

import struct
from typing import Final

import msgspec
from msgspec import Struct

from tallystick.errors import Malformed

LENGTH: Final = struct.Struct(">I")


def frame(message: Struct) -> bytes:
    """Encode a message behind its length."""
    body = msgspec.json.encode(message)
    return LENGTH.pack(len(body)) + body


def body_length(head: bytes, most: int) -> int:
    """Read a length; raises Malformed for one beyond `most` bytes."""
    (length,) = LENGTH.unpack(head)
    if not 1 <= length <= most:
        raise Malformed(f"a message of this helper process has 1 to {most} bytes")
    return int(length)
