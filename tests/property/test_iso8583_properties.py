"""In every message format, what is encoded is what is decoded, and a message has one form only."""

import contextlib
import re
import string

from hypothesis import assume, given
from hypothesis import strategies as st

from tallystick.errors import Malformed, SignatureInvalid
from tallystick.iso8583.framing import FRAME_MAX, Deframer, LengthHeader, frame
from tallystick.iso8583.mac_text import MacText, mab
from tallystick.iso8583.message import Codec
from tallystick.iso8583.network_header import HeaderForm, NetworkHeader, unwrap, wrap
from tallystick.iso8583.originals import original_of, read_original, write_original
from tallystick.iso8583.spec import ELEMENTS, MESSAGE_MAX, Element, MessageFormat, specification

DIGITS = string.digits
LETTERS = {
    "n": DIGITS,
    "an": DIGITS + string.ascii_letters,
    "ans": "".join(map(chr, range(32, 127))),
    "z": DIGITS + "=?",
    "b": DIGITS + "ABCDEF",
}
WORDS_MAX = 60  # characters of a generated variable element: a whole message stays below MESSAGE_MAX
SPECS = {form: specification(8, form) for form in MessageFormat}


def last_bytes(text: bytes) -> bytes:
    """Make a MAC that depends on the text."""
    return text[-8:].rjust(8, b"\0")


def check_last_bytes(text: bytes, tag: bytes) -> None:
    if last_bytes(text) != tag:
        raise SignatureInvalid("not the MAC")


CODECS = {
    (form, text): Codec(SPECS[form], last_bytes, check_last_bytes, text) for form in MessageFormat for text in MacText
}
CODEC = CODECS[MessageFormat.ASCII, MacText.MESSAGE]
FORMS = st.sampled_from(MessageFormat)
TEXTS = st.sampled_from(MacText)


def values(element: Element) -> st.SearchStrategy[str]:
    least, most = (element.size, element.size) if element.prefix == 0 else (1, min(element.size, WORDS_MAX))
    if element.kind == "x":
        return st.builds("{}{}".format, st.sampled_from("CD0"), st.text(DIGITS, min_size=least - 1, max_size=most - 1))
    if element.kind == "b":
        return st.binary(min_size=least, max_size=most).map(lambda data: data.hex().upper())
    return st.text(LETTERS[element.kind], min_size=least, max_size=most)


def messages(form: MessageFormat) -> st.SearchStrategy[dict[str, str]]:
    elements = SPECS[form].elements
    return st.lists(st.sampled_from(sorted(elements.keys() - {"64", "128"})), unique=True, max_size=12).flatmap(
        lambda numbers: st.fixed_dictionaries(
            {"t": st.text(DIGITS, min_size=4, max_size=4), **{number: values(elements[number]) for number in numbers}}
        )
    )


@given(FORMS, st.data())
def test_what_is_encoded_is_what_is_decoded(form: MessageFormat, data: st.DataObject) -> None:
    fields = data.draw(messages(form))
    codec = CODECS[form, MacText.MESSAGE]
    assert fields == codec.decode(codec.encode(fields))


@given(FORMS, TEXTS, st.data())
def test_what_is_signed_is_what_is_checked(form: MessageFormat, text: MacText, data: st.DataObject) -> None:
    fields = data.draw(messages(form))
    assert fields == CODECS[form, text].check(CODECS[form, text].sign(fields))


@given(FORMS, st.data())
def test_a_message_that_is_read_is_written_the_same(form: MessageFormat, data: st.DataObject) -> None:
    codec = CODECS[form, MacText.MESSAGE]
    wire = bytearray(codec.encode(data.draw(messages(form))))
    for _ in range(data.draw(st.integers(0, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Malformed):
        assert wire == codec.encode(codec.decode(bytes(wire)))


@given(messages(MessageFormat.ASCII), FORMS)
def test_the_mac_text_of_a_member_link_has_no_other_characters_than_allowed(
    fields: dict[str, str], form: MessageFormat
) -> None:
    assert re.fullmatch(rb"[0-9]{4}( [A-Z0-9,.]+)*", mab(fields))


@given(messages(MessageFormat.ASCII), st.sampled_from(["4", "11", "39"]), st.data())
def test_the_mac_text_of_a_member_link_changes_with_a_covered_element(
    fields: dict[str, str], number: str, data: st.DataObject
) -> None:
    element = ELEMENTS[number]._replace(kind="n")
    one, other = data.draw(values(element)), data.draw(values(element))
    assume(one != other and not fields["t"].startswith("08"))
    assert mab({**fields, number: one}) != mab({**fields, number: other})


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=30), max_size=6), FORMS)
def test_any_mapping_is_encoded_or_malformed(fields: dict[str, str], form: MessageFormat) -> None:
    with contextlib.suppress(Malformed):
        CODECS[form, MacText.MESSAGE].encode({"t": "0200", **fields})


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
            assert len(deframer._buffer) < FRAME_MAX + 4


STATIONS = st.text(DIGITS + string.ascii_letters, min_size=1, max_size=11)
ADDRESSES = st.text(DIGITS, min_size=4, max_size=4)
HEADERS = st.one_of(
    st.builds(
        HeaderForm,
        kind=st.just(NetworkHeader.UNIONPAY_46),
        destination=STATIONS,
        source=STATIONS,
        version=st.sampled_from([1, 2]),
        test=st.booleans(),
        counts_header=st.booleans(),
        filler=st.sampled_from(["ascii", "binary"]),
        batch=st.integers(0, 255),
    ),
    st.builds(
        HeaderForm,
        kind=st.sampled_from([NetworkHeader.TPDU_5, NetworkHeader.TPDU_11]),
        destination=ADDRESSES,
        source=ADDRESSES,
        terminal=st.text(DIGITS, min_size=12, max_size=12),
    ),
)


@given(HEADERS, st.binary(max_size=MESSAGE_MAX), st.text(DIGITS, min_size=5, max_size=5))
def test_a_wrapped_message_is_unwrapped_with_its_addresses(form: HeaderForm, message: bytes, code: str) -> None:
    header, unwrapped = unwrap(form, wrap(form, message, reject_code=code))
    assert (message, form.destination, form.source) == (unwrapped, header.destination, header.source)
    assert (header.reject_code != "00000") == header.rejected


@given(
    st.fixed_dictionaries(
        {"t": st.text(DIGITS, min_size=4, max_size=4), **{number: values(ELEMENTS[number]) for number in ("7", "11")}},
        optional={number: values(ELEMENTS[number]) for number in ("32", "33")},
    )
)
def test_what_a_reversal_says_of_its_request_is_read_back(request: dict[str, str]) -> None:
    assert original_of(request) == read_original(write_original(original_of(request)))
