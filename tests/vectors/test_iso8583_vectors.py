"""ISO 8583:1987 vectors: jPOS messages of every element, UnionPay messages, headers and MAC texts; sources in data."""

import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.iso8583.framing import Deframer, LengthHeader, frame
from tallystick.iso8583.mac_text import MEMBER, MEMBER_MANAGEMENT, mab, normalise
from tallystick.iso8583.message import Codec
from tallystick.iso8583.network_header import Header, HeaderForm, NetworkHeader, unwrap, wrap
from tallystick.iso8583.spec import MessageFormat, specification

DATA = Path(__file__).parent / "data"
VECTORS = json.loads((DATA / "iso8583.json").read_text())
TERMINAL = json.loads((DATA / "mac.json").read_text())["unionpay_pos_ecb"]
TEXT, BCD = VECTORS["messages"]
UNIONPAY = VECTORS["unionpay_mab"]
FRAMING = [
    (LengthHeader.BINARY_2, VECTORS["framing"][0]),
    (LengthHeader.ASCII_4, VECTORS["framing"][1]),
    (LengthHeader.BCD_2, VECTORS["framing"][2]),
    (LengthHeader.BINARY_4, VECTORS["framing"][3]),
    (LengthHeader.ASCII_4, VECTORS["framing"][4]),
]


def codec(form: MessageFormat) -> Codec:
    return Codec(specification(8, form), lambda text: bytes(8), lambda text, tag: None)


def fields(case: dict[str, Any]) -> dict[str, str]:
    """Take a message's elements; jPOS fills DE55, which is binary with us, with text."""
    numbered = dict(case["fields"])
    return {"t": numbered.pop("0"), **numbered, "55": numbered["55"].encode().hex().upper()}


def text_wire() -> bytes:
    """Make bitmaps, PIN block and MAC of the published message binary; every other byte stays."""
    text = bytes.fromhex(TEXT["hex"])
    for binary in (text[4:36], TEXT["fields"]["52"].encode(), TEXT["fields"]["64"].encode()):
        text = text.replace(binary, bytes.fromhex(binary.decode()), 1)
    return text


WIRES = pytest.mark.parametrize(
    ("form", "case", "wire"),
    [(MessageFormat.ASCII, TEXT, text_wire()), (MessageFormat.BCD_JPOS, BCD, bytes.fromhex(BCD["hex"]))],
    ids=["ascii", "bcd"],
)


@WIRES
def test_the_published_message_of_every_field_is_encoded(
    form: MessageFormat, case: dict[str, Any], wire: bytes
) -> None:
    assert wire == codec(form).encode(fields(case))


@WIRES
def test_the_published_message_of_every_field_is_decoded(
    form: MessageFormat, case: dict[str, Any], wire: bytes
) -> None:
    assert fields(case) == codec(form).decode(wire)


def test_a_published_purchase_of_a_unionpay_terminal_is_read_and_written() -> None:
    wire = bytes.fromhex(TERMINAL[1]["mab"] + TERMINAL[1]["de64"])
    message = codec(MessageFormat.UNIONPAY_POS).decode(wire)

    assert {
        "t": "0200",
        "3": "000000",
        "4": "000000000051",
        "11": "001834",
        "22": "021",
        "25": "00",
        "26": "06",
        "35": "4392260009942820=131210112008439",
        "41": "16688014",
        "42": "000000000000000",
        "49": "156",
        "52": "ACF46E73838A82F9",
        "53": "2600000000000000",
        "60": "22000001",
        "64": "3732343839434143",
    } == message
    assert wire == codec(MessageFormat.UNIONPAY_POS).encode(message)


def test_a_published_answer_to_a_unionpay_terminal_has_tagged_data() -> None:
    message = codec(MessageFormat.UNIONPAY_POS).decode(bytes.fromhex(TERMINAL[0]["mab"] + TERMINAL[0]["de64"]))

    assert ("0830", "00", "67004642", "00000001372") == tuple(message[number] for number in ("t", "39", "41", "60"))
    assert 277 * 2 == len(message["62"])


@pytest.mark.parametrize(("header", "case"), FRAMING)
def test_a_length_header_is_written_and_read_as_seen(header: LengthHeader, case: dict[str, Any]) -> None:
    message = bytes(case["payload_len"])

    assert bytes.fromhex(case["prefix_hex"]) + message == frame(message, header)
    assert [message] * bool(message) == Deframer(header).feed(frame(message, header))


def test_the_published_member_header_is_written_and_read() -> None:
    published, said = VECTORS["unionpay_header"]["example_hex"], VECTORS["unionpay_header"]["example_decoded"]
    form = HeaderForm(
        kind=NetworkHeader.UNIONPAY_46,
        destination=said["destination_id"],
        source=said["source_id"],
        batch=said["batch"],
    )
    message = bytes(int(said["total_length"]) - said["header_length"])

    assert bytes.fromhex(published) + message == wrap(form, message)
    assert (Header(said["destination_id"], said["source_id"], said["reject_code"]), message) == unwrap(
        form, bytes.fromhex(published) + message
    )


@pytest.mark.parametrize("case", UNIONPAY["normalise_cases"], ids=lambda case: case["out"])
def test_a_word_of_a_mac_text_is_normalised_as_seen(case: dict[str, str]) -> None:
    assert case["out"] == normalise(case["in"])


def test_the_mac_text_of_a_member_link_is_as_seen() -> None:
    given = dict(UNIONPAY["example"]["fields"])
    for number, prefix in (("2", 2), ("32", 2), ("33", 2)):
        given[number] = given[number][prefix:]

    assert UNIONPAY["example"]["mab"] == mab({"t": given.pop("MTI"), **given}).decode()


def test_a_member_link_covers_the_elements_seen() -> None:
    assert [str(number) for number in UNIONPAY["fields_financial"][1:]] == list(MEMBER)
    assert [str(number) for number in UNIONPAY["fields_key_reset"][1:]] == list(MEMBER_MANAGEMENT)
