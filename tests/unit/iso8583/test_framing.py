"""Length headers: messages out of a stream."""

import pytest

from tallystick.errors import Malformed
from tallystick.iso8583.framing import Deframer, LengthHeader, frame
from tallystick.iso8583.spec import MESSAGE_MAX

EACH = pytest.mark.parametrize("header", list(LengthHeader))


@EACH
def test_a_stream_gives_its_messages_however_it_is_cut(header: LengthHeader) -> None:
    messages = [b"one", b"two" * 100, b"3" * MESSAGE_MAX]
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
        frame(bytes(MESSAGE_MAX + 1), header)


def test_a_length_above_the_bound_is_refused_before_the_message_came() -> None:
    with pytest.raises(Malformed):
        Deframer(LengthHeader.BINARY_2).feed((MESSAGE_MAX + 1).to_bytes(2))
    with pytest.raises(Malformed):
        Deframer(LengthHeader.ASCII_4).feed(f"{MESSAGE_MAX + 1:04d}".encode())


@pytest.mark.parametrize("length", [b"GET ", b"+100", b" 100", b"-001", b"1_00", b"\x01\x02\x03\x04"])
def test_an_ascii_length_is_four_digits(length: bytes) -> None:
    with pytest.raises(Malformed):
        Deframer(LengthHeader.ASCII_4).feed(length)
