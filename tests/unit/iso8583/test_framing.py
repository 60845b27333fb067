"""Length headers: messages out of a stream."""

import pytest

from tallystick.errors import Malformed
from tallystick.iso8583.framing import FRAME_MAX, Deframer, LengthHeader, frame
from tallystick.iso8583.network_header import UNIONPAY_BYTES
from tallystick.iso8583.spec import MESSAGE_MAX

EACH = pytest.mark.parametrize("header", list(LengthHeader))


@EACH
def test_a_stream_gives_its_messages_however_it_is_cut(header: LengthHeader) -> None:
    messages = [b"one", b"two" * 100, b"3" * FRAME_MAX]
    stream = b"".join(frame(message, header) for message in messages)
    for step in (1, 2, 3, 7, len(stream)):
        deframer = Deframer(header)
        cut = [stream[start : start + step] for start in range(0, len(stream), step)]
        assert messages == [message for data in cut for message in deframer.feed(data)]


@EACH
def test_an_idle_test_is_no_message(header: LengthHeader) -> None:
    assert [b"one", b"two"] == Deframer(header).feed(
        frame(b"", header) + frame(b"one", header) + frame(b"", header) + frame(b"two", header)
    )


@EACH
def test_a_message_above_the_bound_is_not_framed(header: LengthHeader) -> None:
    with pytest.raises(Malformed):
        frame(bytes(FRAME_MAX + 1), header)


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (LengthHeader.BINARY_2, (FRAME_MAX + 1).to_bytes(2)),
        (LengthHeader.ASCII_4, f"{FRAME_MAX + 1:04d}".encode()),
        (LengthHeader.BCD_2, bytes.fromhex(f"{FRAME_MAX + 1:04d}")),
        (LengthHeader.BINARY_4, (FRAME_MAX + 1).to_bytes(2) + bytes(2)),
    ],
)
def test_a_length_above_the_bound_is_refused_before_the_message_came(header: LengthHeader, length: bytes) -> None:
    with pytest.raises(Malformed):
        Deframer(header).feed(length)


def test_the_largest_message_fits_a_frame_behind_the_largest_network_header() -> None:
    assert FRAME_MAX == MESSAGE_MAX + UNIONPAY_BYTES


@pytest.mark.parametrize("length", [b"GET ", b"+100", b" 100", b"-001", b"1_00", b"\x01\x02\x03\x04"])
def test_an_ascii_length_is_four_digits(length: bytes) -> None:
    with pytest.raises(Malformed):
        Deframer(LengthHeader.ASCII_4).feed(length)


@pytest.mark.parametrize("length", [b"\x0a\x00", b"\x00\xff", b"\x1f\x00"])
def test_a_bcd_length_is_four_digits(length: bytes) -> None:
    with pytest.raises(Malformed):
        Deframer(LengthHeader.BCD_2).feed(length)


@pytest.mark.parametrize("length", [b"\x00\x10\x00\x01", b"\x00\x10\x01\x00"])
def test_a_four_byte_length_ends_with_zeros(length: bytes) -> None:
    with pytest.raises(Malformed):
        Deframer(LengthHeader.BINARY_4).feed(length)
