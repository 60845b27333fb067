"""Encode, decode, sign and check messages.

A message is a mapping of element numbers to text, `"t"` being the message type: `{"t": "0200", "2": "62…", …}`.
Binary elements are upper-case hexadecimal. The text is the same in every message format.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from tallystick.errors import FieldInvalid, Malformed
from tallystick.iso8583.forms import form_of
from tallystick.iso8583.mac_text import MacText, mab
from tallystick.iso8583.spec import ELEMENTS, MAC_BYTES, MESSAGE_MAX, MESSAGE_TYPE, Kind, Spec

TYPE: Final = re.compile(r"[0-9]{4}")
TEXT: Final[Mapping[Kind, re.Pattern[str]]] = {
    "n": re.compile(r"[0-9]+"),
    "x": re.compile(r"[CD0][0-9]+"),
    "an": re.compile(r"[0-9A-Za-z ]+"),
    "ans": re.compile(r"[ -~]+"),
    "z": re.compile(r"[0-9:;<=>?]+"),
    "b": re.compile(r"[0-9A-F]+"),
}
BITMAP_BYTES: Final = 8  # bytes
NUMBER_MAX: Final = 128  # elements that two bitmaps name
SECOND_HALF: Final = 2**64 - 1
FIRST_OF_SECOND_BITMAP: Final = 65
SECOND_BITMAP: Final = frozenset(number for number in ELEMENTS if int(number) >= FIRST_OF_SECOND_BITMAP)

MakeMac = Callable[[bytes], bytes]
CheckMac = Callable[[bytes, bytes], None]


class Codec:
    """The message form of one link: its variant of the standard, and how its messages are authenticated.

    `make_mac` gives eight bytes over a text; `check_mac` takes the text and the eight bytes given, and raises;
    `mac_text` says what the text is.
    """

    def __init__(self, spec: Spec, make_mac: MakeMac, check_mac: CheckMac, mac_text: MacText = MacText.MESSAGE) -> None:
        self._make_mac = make_mac
        self._check_mac = check_mac
        self._mac_text = mac_text
        self._allowed = {number: TEXT[element.kind] for number, element in spec.elements.items()}
        self._forms = {number: form_of(element, spec.layout) for number, element in spec.elements.items()}
        self._type = form_of(MESSAGE_TYPE, spec.layout)

    def encode(self, fields: Mapping[str, str]) -> bytes:
        """Encode a message; raises FieldInvalid, naming the element, when a value does not fit it."""
        self._check_content(fields)
        return self._write(fields)

    def decode(self, message: bytes) -> dict[str, str]:
        """Decode a message without believing it; raises Malformed for anything but exactly one message.

        A message has one form only: it is what `encode` makes of its elements, byte by byte.
        """
        if len(message) > MESSAGE_MAX:
            raise Malformed(f"the message has more than {MESSAGE_MAX} bytes")
        try:
            fields = self._read(message)
        except (ValueError, KeyError):  # KeyError: the bitmap names an element that the variant has not
            fields = {}
        if not fields:
            raise Malformed("the bytes are no ISO 8583 message of this variant")
        self._check_content(fields)
        return fields

    def sign(self, fields: Mapping[str, str]) -> bytes:
        """Encode a message with its MAC as the last element: DE128 behind a second bitmap, else DE64.

        Raises as `encode`.
        """
        message = self.encode({**fields, _mac_element(fields): "00" * MAC_BYTES})[:-MAC_BYTES]
        return message + self._make_mac(message if self._mac_text is MacText.MESSAGE else mab(fields))

    def check(self, message: bytes) -> dict[str, str]:
        """Authenticate a message and decode it.

        1. When the MAC covers the whole message: the last eight bytes are the MAC of all bytes before, and nothing is
           parsed before that is known.
        2. It is exactly one message.
        3. The last eight bytes are its MAC element.
        4. When the MAC covers some elements: it is the MAC of those, and nothing is returned before that is known.

        Left to the caller: freshness, that an answer belongs to its request, and elements that the MAC does not cover.

        Raises:
            SignatureInvalid: believe nothing of the message.
            Malformed: the message cannot be read; in case 1 its sender has the key.
        """
        # 1.
        if self._mac_text is MacText.MESSAGE:
            self._check_mac(message[:-MAC_BYTES], message[-MAC_BYTES:])
        # 2.
        fields = self.decode(message)
        # 3.
        if fields.pop(_mac_element(fields), None) is None:
            raise Malformed("the message has no MAC element")
        # 4.
        if self._mac_text is MacText.MEMBER:
            self._check_mac(mab(fields), message[-MAC_BYTES:])
        return fields

    def _write(self, fields: Mapping[str, str]) -> bytes:
        bits, broken, pieces = 0, "", []
        for number in sorted(fields.keys() - {"t"}, key=int):
            bits |= 1 << NUMBER_MAX - int(number)
            try:
                pieces.append(self._forms[number].write(fields[number]))
            except ValueError:
                broken = number
        # Raised outside of the handler: the error there may hold the value, and would go along as context.
        if broken:
            raise FieldInvalid("the element has not the length that ISO 8583 gives it", field=f"DE{broken}")
        if bits & SECOND_HALF:  # elements of a second bitmap, which the first bit announces
            bitmap = (bits | 1 << NUMBER_MAX - 1).to_bytes(2 * BITMAP_BYTES)
        else:
            bitmap = (bits >> NUMBER_MAX // 2).to_bytes(BITMAP_BYTES)
        message = b"".join((self._type.write(fields["t"]), bitmap, *pieces))
        if len(message) > MESSAGE_MAX:
            raise Malformed(f"the message would have more than {MESSAGE_MAX} bytes")
        return message

    def _read(self, message: bytes) -> dict[str, str]:
        """Read exactly one message; raises ValueError and KeyError."""
        kind, at = self._type.read(message, 0)
        fields, end = {"t": kind}, at + BITMAP_BYTES
        bits = int.from_bytes(message[at:end]) << NUMBER_MAX // 2
        if bits >> NUMBER_MAX - 1:
            at, end = end, end + BITMAP_BYTES
            second = int.from_bytes(message[at:end])
            if not second:
                raise ValueError("a second bitmap that names nothing")
            bits = bits ^ 1 << NUMBER_MAX - 1 | second
        while bits:
            place = bits.bit_length() - 1
            bits ^= 1 << place
            number = str(NUMBER_MAX - place)
            fields[number], end = self._forms[number].read(message, end)
        if end != len(message):
            raise ValueError("not the length that its elements give it")
        return fields

    def _check_content(self, fields: Mapping[str, str]) -> None:
        """Check message type, element numbers and characters; the lengths are the library's part."""
        if not TYPE.fullmatch(fields.get("t", "")):
            raise Malformed("the message type is not four digits")
        for number, value in fields.items():
            if number == "t":
                continue
            pattern = self._allowed.get(number)
            if pattern is None or not pattern.fullmatch(value):
                raise FieldInvalid("the element holds what ISO 8583 does not allow there", field=f"DE{number}")


def _mac_element(fields: Mapping[str, str]) -> str:
    return "64" if SECOND_BITMAP.isdisjoint(fields) else "128"
