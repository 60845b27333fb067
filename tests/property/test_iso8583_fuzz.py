"""Bytes of a peer: whatever they are, nothing but our own refusals comes out, and memory stays bounded."""

import contextlib
import string
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.crypto import tr31
from tallystick.crypto.tr31_header import (
    BLOCK_MAX,
    BlockVersion,
    KeyAlgorithm,
    KeyBlockHeader,
    KeyUsage,
    ModeOfUse,
    OptionalBlock,
)
from tallystick.errors import Refused
from tallystick.iso8583.framing import FRAME_MAX, Deframer, LengthHeader, frame
from tallystick.iso8583.message import Codec
from tallystick.iso8583.network_header import HeaderForm, NetworkHeader, unwrap, wrap
from tallystick.iso8583.spec import MESSAGE_MAX, MessageFormat, specification
from tallystick.runtime import SystemRandomness

MEMORY_MAX = 512 * 1024  # bytes: far above what one message needs, far below what a length could ask for
TDES_KBPK = bytes.fromhex("DD7515F2BFC17F85CE48F3CA25CB21F6")
AES_KBPK = bytes(range(32))
REQUEST = {
    "t": "0200",
    "2": "6221558812340000",
    "4": "000000001000",
    "11": "000123",
    "28": "C00000100",
    "35": "622155=2912",
    "41": "TERMINAL",
    "48": "private",
    "52": "0011223344556677",
    "55": "9F2608AABBCCDDEEFF0011",
    "100": "48021910",
}
CODECS = {form: Codec(specification(8, form), lambda text: bytes(8), lambda text, tag: None) for form in MessageFormat}
FORMS = {
    NetworkHeader.UNIONPAY_46: HeaderForm(kind=NetworkHeader.UNIONPAY_46, destination="00010000", source="48021910"),
    NetworkHeader.TPDU_5: HeaderForm(kind=NetworkHeader.TPDU_5, destination="0001", source="0000"),
    NetworkHeader.TPDU_11: HeaderForm(kind=NetworkHeader.TPDU_11, destination="0001", source="0000"),
    NetworkHeader.NONE: HeaderForm(),
}
BLOCKS = {
    kbpk: tr31.wrap(
        kbpk,
        KeyBlockHeader(
            version=version,
            usage=KeyUsage.PIN,
            algorithm=KeyAlgorithm.TDES,
            mode=ModeOfUse.ENCRYPT,
            optional=(OptionalBlock("KS", "00604B120F9292800000"), OptionalBlock("CT", "c" * 300)),
        ),
        bytes(range(16)),
        SystemRandomness(),
    )
    for version, kbpk in ((BlockVersion.B, TDES_KBPK), (BlockVersion.D, AES_KBPK))
}
Cut = tuple[int, int, bytes]
MUTATIONS: st.SearchStrategy[list[Cut]] = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 12), st.binary(max_size=12)), max_size=4
)


def mutated(wire: bytes, cuts: list[Cut]) -> bytes:
    """Replace some bytes at some places by others, more or fewer."""
    for place, count, data in cuts:
        start = min(place, len(wire))
        wire = wire[:start] + data + wire[start + count :]
    return wire


def refused_or_done(work: Callable[[], object]) -> None:
    with contextlib.suppress(Refused):
        work()


@given(st.sampled_from(MessageFormat), st.binary(max_size=MESSAGE_MAX + 8))
def test_random_bytes_are_a_message_or_refused(form: MessageFormat, data: bytes) -> None:
    refused_or_done(lambda: CODECS[form].decode(data))


@given(st.sampled_from(MessageFormat), st.binary(min_size=8, max_size=16), st.binary(max_size=200))
def test_any_bitmap_is_read_or_refused(form: MessageFormat, bitmap: bytes, data: bytes) -> None:
    kind, _, _ = CODECS[form].encode({"t": "0210", "11": "000001"}).partition(bytes.fromhex("0020000000000000"))
    assert len(kind) in (2, 4)
    refused_or_done(lambda: CODECS[form].decode(kind + bitmap + data))


@given(st.sampled_from(MessageFormat), MUTATIONS)
def test_a_mutated_message_is_read_or_refused(form: MessageFormat, cuts: list[Cut]) -> None:
    wire = mutated(CODECS[form].sign(REQUEST), cuts)
    refused_or_done(lambda: CODECS[form].check(wire))


@given(st.sampled_from(LengthHeader), st.lists(st.binary(max_size=600), max_size=8))
def test_a_random_stream_is_cut_or_refused(header: LengthHeader, chunks: list[bytes]) -> None:
    deframer = Deframer(header)
    refused_or_done(lambda: [deframer.feed(chunk) for chunk in chunks])


@given(st.sampled_from(LengthHeader), MUTATIONS, st.integers(1, 64))
def test_a_mutated_stream_is_cut_or_refused(header: LengthHeader, cuts: list[Cut], step: int) -> None:
    stream = mutated(frame(b"a" * 100, header) + frame(b"", header) + frame(b"b" * 100, header), cuts)
    deframer = Deframer(header)
    pieces = [stream[start : start + step] for start in range(0, len(stream), step)]
    refused_or_done(lambda: [deframer.feed(piece) for piece in pieces])


@given(st.sampled_from(list(FORMS.values())), st.binary(max_size=80))
def test_a_random_network_header_is_read_or_refused(form: HeaderForm, data: bytes) -> None:
    refused_or_done(lambda: unwrap(form, data))


@given(st.sampled_from(list(FORMS.values())), MUTATIONS)
def test_a_mutated_network_header_is_read_or_refused(form: HeaderForm, cuts: list[Cut]) -> None:
    wire = mutated(wrap(form, b"0210" + bytes(8)), cuts)
    refused_or_done(lambda: unwrap(form, wire))


@given(st.sampled_from(list(BLOCKS)), st.sampled_from(KeyUsage), st.text(max_size=200))
def test_a_random_text_is_a_key_block_or_refused(kbpk: bytes, usage: KeyUsage, text: str) -> None:
    refused_or_done(lambda: tr31.unwrap(kbpk, text, usage=usage))


@given(st.sampled_from(list(BLOCKS)), MUTATIONS, st.booleans())
def test_a_mutated_key_block_is_opened_or_refused(kbpk: bytes, cuts: list[Cut], lengthened: bool) -> None:  # noqa: FBT001
    block = mutated(BLOCKS[kbpk].encode(), cuts).decode("latin-1")
    if lengthened:  # let the mutation pass the check of the whole length
        block = f"{block[:1]}{len(block):04d}{block[5:]}"
    refused_or_done(lambda: tr31.unwrap(kbpk, block, usage=KeyUsage.PIN))


@settings(max_examples=50)
@given(st.text(string.digits + "ABCDEFPKS", max_size=300), st.integers(0, 99))
def test_any_optional_blocks_are_read_or_refused(optional: str, count: int) -> None:
    block = f"B{16 + len(optional):04d}P0TE00N{count:02d}00{optional}"
    refused_or_done(lambda: tr31.unwrap(TDES_KBPK, block, usage=KeyUsage.PIN))


# Memory


def peak(work: Callable[..., object], *given: object) -> int:
    """Return how many bytes were held at a time beyond what was held before."""
    refused_or_done(lambda: work(*given))  # what the first call caches is not the input's doing
    tracemalloc.start()
    try:
        refused_or_done(lambda: work(*given))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", list(MessageFormat))
@pytest.mark.parametrize("size", [MESSAGE_MAX, 8 * 1024 * 1024])
def test_the_decoder_holds_little_whatever_it_is_given(form: MessageFormat, size: int) -> None:
    texts = [b"0" * size, b"9" * size, b"\xff" * size, b"\xf9" * size, (CODECS[form].sign(REQUEST) * size)[:size]]

    assert MEMORY_MAX > max(peak(CODECS[form].decode, text) for text in texts)


@pytest.mark.parametrize("header", list(LengthHeader))
def test_a_deframer_holds_little_of_a_stream_that_never_ends(header: LengthHeader) -> None:
    chunks = [frame(bytes(FRAME_MAX), header)[:700] + b"\0" * 700] * 1000

    def feed() -> None:
        deframer = Deframer(header)
        for chunk in chunks:
            deframer.feed(chunk)

    assert MEMORY_MAX > peak(feed)


def test_a_key_block_of_any_length_is_refused_with_little_memory() -> None:
    long = f"D9999P0TE00N9900{'KS00FF' + 'F' * 255}" + "0" * 8 * 1024 * 1024

    assert len(long) > BLOCK_MAX
    assert MEMORY_MAX > peak(lambda: tr31.unwrap(AES_KBPK, long, usage=KeyUsage.PIN))


def test_the_measure_sees_what_a_decoder_without_bound_would_hold() -> None:
    assert MEMORY_MAX < peak(bytearray, 8 * 1024 * 1024)
