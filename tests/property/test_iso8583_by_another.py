"""Another codec, pyiso8583, writes and reads what ours does, in every format, and refuses what ours refuses."""

import contextlib

import iso8583
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_iso8583_fuzz import MUTATIONS, Cut, mutated
from test_iso8583_properties import CODECS, FORMS, SPECS, messages
from tests import iso8583_oracle as other

from tallystick.errors import FieldInvalid, Malformed
from tallystick.iso8583.mac_text import MacText
from tallystick.iso8583.message import Codec
from tallystick.iso8583.spec import MESSAGE_MAX, MessageFormat


def ours(codec: Codec, wire: bytes) -> dict[str, str] | None:
    with contextlib.suppress(Malformed):
        return codec.decode(wire)
    return None


def theirs(codec: Codec, form: MessageFormat, wire: bytes) -> dict[str, str] | None:
    """Read with the library; characters are judged by ours in either case."""
    fields = other.decode(SPECS[form], wire) if len(wire) <= MESSAGE_MAX else None
    with contextlib.suppress(Malformed):
        if fields:
            codec._check_content(fields)
            return fields
    return None


@given(FORMS, st.data())
def test_the_other_writes_the_same_bytes(form: MessageFormat, data: st.DataObject) -> None:
    fields = data.draw(messages(form))
    assert other.encode(SPECS[form], fields) == CODECS[form, MacText.MESSAGE].encode(fields)


@settings(max_examples=400)
@given(FORMS, st.data(), MUTATIONS)
def test_the_other_reads_the_same_and_refuses_the_same(
    form: MessageFormat, data: st.DataObject, cuts: list[Cut]
) -> None:
    codec = CODECS[form, MacText.MESSAGE]
    wire = mutated(codec.encode(data.draw(messages(form))), cuts)
    assert theirs(codec, form, wire) == ours(codec, wire)


@settings(max_examples=300)
@given(FORMS, st.data(), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 7)), min_size=1, max_size=2))
def test_so_it_does_with_single_bits_changed_at_the_front(
    form: MessageFormat, data: st.DataObject, flips: list[tuple[int, int]]
) -> None:
    codec = CODECS[form, MacText.MESSAGE]
    wire = bytearray(codec.encode(data.draw(messages(form))))
    for place, bit in flips:
        wire[place % len(wire)] ^= 1 << bit
    assert theirs(codec, form, bytes(wire)) == ours(codec, bytes(wire))


@pytest.mark.parametrize("form", list(MessageFormat))
def test_every_length_around_the_right_one_is_refused_by_both(form: MessageFormat) -> None:
    codec, spec = CODECS[form, MacText.MESSAGE], SPECS[form]
    filler = {"n": "0", "z": "0", "x": "0", "an": "0", "ans": "0", "b": "00"}
    for number, element in spec.elements.items():
        for size in (element.size - 1, element.size, element.size + 1):
            if size < 1 or (
                element.kind == "x" and size % 2 == 0
            ):  # half a byte of an amount: the library raises elsewhere
                continue
            value = filler[element.kind] * size
            try:
                expected = other.encode(spec, {"t": "0200", number: value})
            except iso8583.EncodeError:
                with pytest.raises(FieldInvalid):
                    codec.encode({"t": "0200", number: value})
            else:
                assert expected == codec.encode({"t": "0200", number: value})
