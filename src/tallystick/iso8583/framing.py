"""Length headers in front of messages on a TCP stream, as data."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from tallystick.errors import Malformed
from tallystick.iso8583.spec import MESSAGE_MAX


class LengthHeader(StrEnum):
    """How a link writes a message's length, which never counts the header itself."""

    BINARY_2 = "binary2"
    ASCII_4 = "ascii4"


class _Form(NamedTuple):
    size: int
    digits: bool


FORMS: Final[Mapping[LengthHeader, _Form]] = {
    LengthHeader.BINARY_2: _Form(size=2, digits=False),  # big endian: UnionPay POS dialect
    LengthHeader.ASCII_4: _Form(size=4, digits=True),  # UnionPay member link
}


def frame(message: bytes, header: LengthHeader) -> bytes:
    """Put the length in front; raises Malformed above MESSAGE_MAX. An empty message is an idle test."""
    if len(message) > MESSAGE_MAX:
        raise Malformed(f"the message has more than {MESSAGE_MAX} bytes")
    form = FORMS[header]
    length = f"{len(message):0{form.size}d}".encode() if form.digits else len(message).to_bytes(form.size)
    return length + message


class Deframer:
    """Cut a stream into messages.

    It holds less than one frame between two calls. After Malformed the position in the stream is lost: the caller
    closes the connection.
    """

    def __init__(self, header: LengthHeader) -> None:
        self._form = FORMS[header]
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take received bytes, return the messages they complete; idle tests are dropped unanswered.

        Raises Malformed for a length that is no number or above MESSAGE_MAX, before any of that message is kept.
        """
        buffer, size = self._buffer, self._form.size
        buffer += data
        messages, start = [], 0
        while len(buffer) >= start + size:
            body = start + size
            end = body + self._length(bytes(buffer[start:body]))
            if len(buffer) < end:
                break
            if end > body:
                messages.append(bytes(buffer[body:end]))
            start = end
        del buffer[:start]
        return messages

    def _length(self, header: bytes) -> int:
        if self._form.digits and not header.isdigit():
            raise Malformed("the length in front of a message is no number")
        length = int(header) if self._form.digits else int.from_bytes(header)
        if length > MESSAGE_MAX:
            raise Malformed(f"the length in front of a message is above {MESSAGE_MAX}")
        return length
