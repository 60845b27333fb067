"""ISO 8583:1987 vectors of jPOS, carried over to binary bitmaps; length headers. Sources in data/iso8583.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.iso8583.framing import Deframer, LengthHeader, frame
from tallystick.iso8583.message import Codec
from tallystick.iso8583.spec import specification

VECTORS = json.loads((Path(__file__).parent / "data" / "iso8583.json").read_text())
ALL_FIELDS = VECTORS["messages"][0]
FRAMING = [
    (LengthHeader.BINARY_2, VECTORS["framing"][0]),
    (LengthHeader.ASCII_4, VECTORS["framing"][1]),
    (LengthHeader.ASCII_4, VECTORS["framing"][4]),
]
CODEC = Codec(specification(8), lambda text: bytes(8), lambda text, tag: None)


def fields() -> dict[str, str]:
    numbered = dict(ALL_FIELDS["fields"])
    return {"t": numbered.pop("0"), **numbered}


def wire() -> bytes:
    """Make bitmaps, PIN block and MAC of the published message binary; every other byte stays."""
    text = bytes.fromhex(ALL_FIELDS["hex"])
    for binary in (text[4:36], fields()["52"].encode(), fields()["64"].encode()):
        text = text.replace(binary, bytes.fromhex(binary.decode()), 1)
    return text


def test_the_published_message_of_every_field_is_encoded() -> None:
    assert wire() == CODEC.encode(fields())


def test_the_published_message_of_every_field_is_decoded() -> None:
    assert fields() == CODEC.decode(wire())


@pytest.mark.parametrize(("header", "case"), FRAMING)
def test_a_length_header_is_written_and_read_as_seen(header: LengthHeader, case: dict[str, Any]) -> None:
    message = bytes(case["payload_len"])

    assert bytes.fromhex(case["prefix_hex"]) + message == frame(message, header)
    assert [message] * bool(message) == Deframer(header).feed(frame(message, header))
