"""Length headers in front of messages on a TCP stream, as data."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from tallystick.errors import Malformed

FRAME_MAX: Final = 1_938  # bytes of a UnionPay member link: network header and message


class LengthHeader(StrEnum):
    """How a link writes a frame's length, which never counts the length header itself."""

    BINARY_2 = "binary2"
    ASCII_4 = "ascii4"
    BCD_2 = "bcd2"
    BINARY_4 = "binary4"


class _Form(NamedTuple):
    """Bytes of the header, how a length is written, and how it is read (None: it is no length)."""

    size: int
    write: Callable[[int], bytes]
    read: Callable[[bytes], int | None]


FORMS: Final[Mapping[LengthHeader, _Form]] = {
    # big endian: UnionPay terminal link
    LengthHeader.BINARY_2: _Form(2, lambda length: length.to_bytes(2), int.from_bytes),
    # UnionPay member link
    LengthHeader.ASCII_4: _Form(
        4, lambda length: b"%04d" % length, lambda header: int(header) if header.isdigit() else None
    ),
    LengthHeader.BCD_2: _Form(
        2,
        lambda length: bytes.fromhex(f"{length:04d}"),
        lambda header: int(header.hex()) if header.hex().isdigit() else None,
    ),
    # big endian with two zero bytes behind: Visa style
    LengthHeader.BINARY_4: _Form(
        4,
        lambda length: length.to_bytes(2) + bytes(2),
        lambda header: int.from_bytes(header[:2]) if header[2:] == bytes(2) else None,
    ),
}


def frame(content: bytes, header: LengthHeader) -> bytes:
    """Put the length in front; raises Malformed above FRAME_MAX. Empty content is an idle test."""
    if len(content) > FRAME_MAX:
        raise Malformed(f"the message has more than {FRAME_MAX} bytes")
    return FORMS[header].write(len(content)) + content


class Deframer:
    """Cut a stream into frames' contents: a message, behind a network header when the link has one.

    It holds less than one frame between two calls. After Malformed the position in the stream is lost: the caller
    closes the connection.
    """

    def __init__(self, header: LengthHeader) -> None:
        self._form = FORMS[header]
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take received bytes, return the contents they complete; idle tests are dropped unanswered.

        Raises Malformed for a length that is no number or above FRAME_MAX, before any of that frame is kept.
        """
        buffer, size = self._buffer, self._form.size
        buffer += data
        contents, start = [], 0
        while len(buffer) >= start + size:
            body = start + size
            end = body + self._length(bytes(buffer[start:body]))
            if len(buffer) < end:
                break
            if end > body:
                contents.append(bytes(buffer[body:end]))
            start = end
        del buffer[:start]
        return contents

    def _length(self, header: bytes) -> int:
        length = self._form.read(header)
        if length is None:
            raise Malformed("the length in front of a message is no number")
        if length > FRAME_MAX:
            raise Malformed(f"the length in front of a message is above {FRAME_MAX}")
        return length
