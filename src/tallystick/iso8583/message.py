"""Encode, decode, sign and check messages; the codec underneath is pyiso8583.

A message is a mapping of element numbers to text, `"t"` being the message type: `{"t": "0200", "2": "62…", …}`.
Binary elements are upper-case hexadecimal.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import iso8583

from tallystick.errors import FieldInvalid, Malformed
from tallystick.iso8583.spec import ELEMENTS, MAC_BYTES, MESSAGE_MAX, Kind, Spec

MESSAGE_TYPE: Final = re.compile(r"[0-9]{4}")
TEXT: Final[Mapping[Kind, re.Pattern[str]]] = {
    "n": re.compile(r"[0-9]+"),
    "an": re.compile(r"[0-9A-Za-z ]+"),
    "ans": re.compile(r"[ -~]+"),
    "z": re.compile(r"[ -~]+"),
    "b": re.compile(r"[0-9A-F]+"),
}
ALLOWED: Final = {number: TEXT[element.kind] for number, element in ELEMENTS.items()}
VARIABLE: Final = frozenset(number for number, element in ELEMENTS.items() if element.prefix)
FIRST_OF_SECOND_BITMAP: Final = 65
SECOND_BITMAP: Final = frozenset(number for number in ELEMENTS if int(number) >= FIRST_OF_SECOND_BITMAP)

MakeMac = Callable[[bytes], bytes]
CheckMac = Callable[[bytes, bytes], None]


class Codec:
    """The message form of one link: its variant of the standard, and how its messages are authenticated.

    `make_mac` gives eight bytes over a text; `check_mac` takes the text and the eight bytes given, and raises.
    """

    def __init__(self, spec: Spec, make_mac: MakeMac, check_mac: CheckMac) -> None:
        self._spec = spec
        self._make_mac = make_mac
        self._check_mac = check_mac

    def encode(self, fields: Mapping[str, str]) -> bytes:
        """Encode a message; raises FieldInvalid, naming the element, when a value does not fit it."""
        _check_content(fields)
        message, broken = bytearray(), ""
        try:
            message, _ = iso8583.encode(dict(fields), self._spec)
        except iso8583.EncodeError as error:
            broken = error.field
        # Raised outside of the handler: the library's error holds the whole message, and would go along as context.
        if broken:
            raise FieldInvalid("the element has not the length that ISO 8583 gives it", field=f"DE{broken}")
        if len(message) > MESSAGE_MAX:
            raise Malformed(f"the message would have more than {MESSAGE_MAX} bytes")
        return bytes(message)

    def decode(self, message: bytes) -> dict[str, str]:
        """Decode a message without believing it; raises Malformed for anything but exactly one message."""
        if len(message) > MESSAGE_MAX:
            raise Malformed(f"the message has more than {MESSAGE_MAX} bytes")
        try:
            fields, encoded = iso8583.decode(message, self._spec)
        except (iso8583.DecodeError, KeyError):  # KeyError: the bitmap names an element that the variant has not
            fields, encoded = {}, {}
        if not fields:
            raise Malformed("the bytes are no ISO 8583 message of this variant")
        for bitmap in ("p", "1"):
            fields.pop(bitmap, None)
        _check_content(fields)
        # The library reads a length by int(), which also takes "+7", " 7" and "-7".
        if not all(encoded[number]["len"].isdigit() for number in VARIABLE & fields.keys()):
            raise Malformed("the length of an element is not written in digits")
        return fields

    def sign(self, fields: Mapping[str, str]) -> bytes:
        """Encode a message with its MAC as the last element: DE128 behind a second bitmap, else DE64.

        The MAC covers every byte before it, bitmaps included. Raises as `encode`.
        """
        message = self.encode({**fields, _mac_element(fields): "00" * MAC_BYTES})[:-MAC_BYTES]
        return message + self._make_mac(message)

    def check(self, message: bytes) -> dict[str, str]:
        """Authenticate a message, then decode it.

        1. Its last eight bytes are the MAC of all bytes before: nothing is parsed before that is known.
        2. It is exactly one message.
        3. Those bytes are its MAC element.

        Left to the caller: freshness, and that an answer belongs to its request.

        Raises:
            SignatureInvalid: believe nothing of the message.
            Malformed: the sender has the key, but the message cannot be read.
        """
        # 1.
        self._check_mac(message[:-MAC_BYTES], message[-MAC_BYTES:])
        # 2.
        fields = self.decode(message)
        # 3.
        if fields.pop(_mac_element(fields), None) is None:
            raise Malformed("the message has no MAC element")
        return fields


def _mac_element(fields: Mapping[str, str]) -> str:
    return "64" if SECOND_BITMAP.isdisjoint(fields) else "128"


def _check_content(fields: Mapping[str, str]) -> None:
    """Check message type, element numbers and characters; the lengths are the library's part."""
    if not MESSAGE_TYPE.fullmatch(fields.get("t", "")):
        raise Malformed("the message type is not four digits")
    for number, value in fields.items():
        if number == "t":
            continue
        pattern = ALLOWED.get(number)
        if pattern is None or not pattern.fullmatch(value):
            raise FieldInvalid("the element holds what ISO 8583 does not allow there", field=f"DE{number}")
