"""No input makes the codec raise anything but our errors, and what is encoded is what is decoded."""

import contextlib
import string

from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import Malformed, SignatureInvalid
from tallystick.iso8583.framing import Deframer, LengthHeader, frame
from tallystick.iso8583.message import Codec
from tallystick.iso8583.spec import ELEMENTS, MESSAGE_MAX, Element, specification

CODEC = Codec(specification(8), lambda text: bytes(8), lambda text, tag: None)
DIGITS = string.digits
LETTERS = {
    "n": DIGITS,
    "an": DIGITS + string.ascii_letters,
    "ans": "".join(map(chr, range(32, 127))),
    "z": DIGITS + "=D",
    "b": DIGITS + "ABCDEF",
}
WORDS_MAX = 60  # characters of a generated variable element: a whole message stays below MESSAGE_MAX


def values(element: Element) -> st.SearchStrategy[str]:
    size = element.size * (2 if element.kind == "b" else 1)
    least, most = (size, size) if element.prefix == 0 else (1, min(size, WORDS_MAX))
    return st.text(LETTERS[element.kind], min_size=least, max_size=most)


NUMBERS = [number for number in ELEMENTS if number not in ("64", "128")]
MESSAGES = st.lists(st.sampled_from(NUMBERS), unique=True, max_size=12).flatmap(
    lambda numbers: st.fixed_dictionaries(
        {"t": st.text(DIGITS, min_size=4, max_size=4), **{number: values(ELEMENTS[number]) for number in numbers}}
    )
)


@given(MESSAGES)
def test_what_is_signed_is_what_is_checked(fields: dict[str, str]) -> None:
    assert fields == CODEC.check(CODEC.sign(fields))


@given(st.binary(max_size=MESSAGE_MAX + 8))
def test_random_bytes_raise_nothing_but_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        CODEC.decode(data)


@given(MESSAGES, st.data())
def test_a_message_with_one_altered_byte_raises_nothing_but_malformed(
    fields: dict[str, str], data: st.DataObject
) -> None:
    wire = bytearray(CODEC.sign(fields))
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Malformed, SignatureInvalid):
        CODEC.check(bytes(wire))


@given(st.binary(min_size=8, max_size=16), st.binary(max_size=200))
def test_any_bitmap_raises_nothing_but_malformed(bitmap: bytes, data: bytes) -> None:
    with contextlib.suppress(Malformed):
        CODEC.decode(b"0210" + bitmap + data)


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=30), max_size=6))
def test_any_mapping_is_encoded_or_malformed(fields: dict[str, str]) -> None:
    with contextlib.suppress(Malformed):
        CODEC.encode({"t": "0200", **fields})


@given(st.sampled_from(LengthHeader), st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.integers(1, 50))
def test_a_stream_gives_its_messages_however_it_is_cut(header: LengthHeader, messages: list[bytes], step: int) -> None:
    stream = b"".join(frame(message, header) for message in messages)
    deframer = Deframer(header)
    cut = [stream[start : start + step] for start in range(0, len(stream), step)]
    assert messages == [message for data in cut for message in deframer.feed(data)]


@given(st.sampled_from(LengthHeader), st.lists(st.binary(max_size=100), max_size=20))
def test_a_deframer_never_holds_more_than_one_frame(header: LengthHeader, chunks: list[bytes]) -> None:
    deframer = Deframer(header)
    with contextlib.suppress(Malformed):
        for chunk in chunks:
            deframer.feed(chunk)
            assert len(deframer._buffer) < MESSAGE_MAX + 4
