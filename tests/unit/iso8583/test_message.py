"""The codec: what is encoded, authenticated, refused."""

import pytest

from tallystick.errors import FieldInvalid, Malformed, SignatureInvalid
from tallystick.iso8583.mac_text import MacText, mab
from tallystick.iso8583.message import Codec
from tallystick.iso8583.spec import MESSAGE_MAX, MessageFormat, specification

REQUEST = {"t": "0200", "2": "6221558812340000", "4": "000000001000", "11": "000123", "52": "0011223344556677"}
NETWORK = {"t": "0800", "7": "1123190730", "11": "000001", "70": "001"}
MAC = b"MACMACMA"


def check_mac(text: bytes, tag: bytes) -> None:
    if tag != MAC:
        raise SignatureInvalid("not the MAC")


CODEC = Codec(specification(8), lambda text: MAC, check_mac)


def test_a_decoded_message_is_the_encoded_one() -> None:
    assert REQUEST == CODEC.decode(CODEC.encode(REQUEST))


def test_encoding_leaves_the_callers_message_alone() -> None:
    fields = dict(REQUEST)
    CODEC.encode(fields)

    assert REQUEST == fields


def test_pin_block_and_bitmap_are_binary() -> None:
    wire = CODEC.encode(REQUEST)

    assert wire.startswith(b"0200" + bytes.fromhex("5020000000001000"))
    assert wire.endswith(bytes.fromhex(REQUEST["52"]))


def test_the_variant_for_format_4_has_sixteen_bytes_in_de52() -> None:
    wide = Codec(specification(16), lambda text: MAC, check_mac)
    fields = {**REQUEST, "52": REQUEST["52"] * 2}

    assert fields == wide.decode(wide.encode(fields))
    with pytest.raises(FieldInvalid):
        CODEC.encode(fields)


def test_the_mac_covers_everything_before_it_with_its_bit_set() -> None:
    wire = Codec(specification(8), lambda text: text[-4:] + text[:4], check_mac).sign(REQUEST)

    assert wire[-12:-8] + b"0200" == wire[-8:]
    assert 1 == wire[11] & 1


def test_a_second_bitmap_moves_the_mac_to_de128() -> None:
    assert MAC.hex().upper() == CODEC.decode(CODEC.sign(NETWORK))["128"]
    assert MAC.hex().upper() == CODEC.decode(CODEC.sign(REQUEST))["64"]


@pytest.mark.parametrize("fields", [REQUEST, NETWORK])
def test_a_checked_message_is_the_signed_one(fields: dict[str, str]) -> None:
    assert fields == CODEC.check(CODEC.sign(fields))


def test_a_wrong_mac_is_refused_before_anything_is_parsed() -> None:
    with pytest.raises(SignatureInvalid):
        CODEC.check(b"no message at all")


def test_a_message_without_mac_element_is_refused_even_when_its_last_bytes_match() -> None:
    with pytest.raises(Malformed):
        CODEC.check(CODEC.encode({"t": "0200", "11": "000123", "41": MAC.decode()}))


def test_a_message_shorter_than_a_mac_is_refused() -> None:
    for length in range(9):
        with pytest.raises((Malformed, SignatureInvalid)):
            CODEC.check(MAC[:length])


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("4", "1000"),
        ("4", "00000000100A"),
        ("2", "62215588123400000000"),
        ("39", "\u00e90"),
        ("52", "00"),
        ("52", "zz" * 8),
    ],
)
def test_a_value_that_does_not_fit_its_element_is_refused_without_showing_it(number: str, value: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        CODEC.encode({"t": "0200", number: value})

    assert f"DE{number}" == refused.value.field
    assert value not in str(refused.value)
    assert refused.value.__context__ is None


@pytest.mark.parametrize("number", ["0", "1", "65", "129", "052", "p", "h", "x", ""])
def test_an_element_that_the_variant_has_not_is_refused(number: str) -> None:
    with pytest.raises(Malformed):
        CODEC.encode({"t": "0200", number: "1"})


@pytest.mark.parametrize("kind", [None, "", "200", "02000", "02a0", "\uff10200"])
def test_a_message_type_is_four_digits(kind: str | None) -> None:
    with pytest.raises(Malformed):
        CODEC.encode({"11": "000001"} if kind is None else {"t": kind, "11": "000001"})


@pytest.mark.parametrize("length", [b"+7", b" 7", b"-7", b"7 ", b"xx"])
def test_a_length_that_is_not_written_in_digits_is_refused(length: bytes) -> None:
    wire = CODEC.encode({"t": "0200", "2": "6221558", "11": "000123"})
    assert b"07622" in wire

    with pytest.raises(Malformed):
        CODEC.decode(wire.replace(b"07622", length + b"622"))


def test_bytes_behind_the_last_element_are_refused() -> None:
    with pytest.raises(Malformed):
        CODEC.decode(CODEC.encode(REQUEST) + b"\0")


def test_every_cut_message_is_refused_without_showing_it() -> None:
    wire = CODEC.encode(REQUEST)
    for length in range(len(wire)):
        with pytest.raises(Malformed) as refused:
            CODEC.decode(wire[:length])
        assert refused.value.__context__ is None


def test_a_message_above_the_bound_is_refused_both_ways() -> None:
    with pytest.raises(Malformed):
        CODEC.decode(bytes(MESSAGE_MAX + 1))
    with pytest.raises(Malformed):
        CODEC.encode({"t": "0200", "46": "a" * 999, "47": "a" * 999})


# Message formats

FORMATS = pytest.mark.parametrize("form", list(MessageFormat))
ODD = {"t": "0200", "2": "622155881234000", "22": "011", "28": "C00000150", "35": "622155881234=2912"}


def codec(form: MessageFormat, mac_text: MacText = MacText.MESSAGE) -> Codec:
    return Codec(specification(8, form), lambda text: MAC, check_mac, mac_text)


@FORMATS
@pytest.mark.parametrize("fields", [REQUEST, NETWORK, ODD])
def test_a_message_is_the_same_in_every_format(form: MessageFormat, fields: dict[str, str]) -> None:
    assert fields == codec(form).check(codec(form).sign(fields))


@pytest.mark.parametrize(
    ("form", "wire"),
    [
        (MessageFormat.ASCII, b"15622155881234000" + b"011" + b"C00000150" + b"17622155881234=2912"),
        (MessageFormat.EBCDIC, "15622155881234000011C0000015017622155881234=2912".encode("cp500")),
        (MessageFormat.BCD, bytes.fromhex("150622155881234000 0011 4300000150 170622155881234D2912")),
        (MessageFormat.BCD_JPOS, bytes.fromhex("156221558812340000 0011 4300000150 17622155881234D29120")),
        (MessageFormat.UNIONPAY_POS, bytes.fromhex("156221558812340000 0110 4300000150 17622155881234D29120")),
    ],
)
def test_a_format_writes_lengths_digits_and_signs_its_own_way(form: MessageFormat, wire: bytes) -> None:
    written = codec(form).encode(ODD)

    assert wire == written[-len(wire) :]
    assert bytes.fromhex("4000041020000000") == written[-len(wire) - 8 : -len(wire)]


@FORMATS
def test_chip_data_are_bytes_behind_their_count(form: MessageFormat) -> None:
    wire = codec(form).encode({"t": "0200", "55": "9F2608AABBCCDDEEFF0011"})

    assert wire.endswith(bytes.fromhex("9F2608AABBCCDDEEFF0011"))


@FORMATS
@pytest.mark.parametrize("value", ["9F2", "9f26", "", "9F" * 256, "ZZ"])
def test_chip_data_that_are_no_bytes_are_refused(form: MessageFormat, value: str) -> None:
    with pytest.raises(FieldInvalid):
        codec(form).encode({"t": "0200", "55": value})


@pytest.mark.parametrize("value", ["622155d2912", "622155D2912", "622155 2912"])
def test_track_data_hold_digits_and_separators(value: str) -> None:
    with pytest.raises(FieldInvalid):
        codec(MessageFormat.BCD).encode({"t": "0200", "35": value})


@pytest.mark.parametrize(
    ("form", "right", "wrong"),
    [
        (MessageFormat.BCD, "150622155881234000", "151622155881234000"),  # a number in place of the zero nibble
        (MessageFormat.BCD, "150622155881234000", "1506221558812340A0"),  # a nibble that is no digit
        (MessageFormat.BCD, "150622155881234000", "1F0622155881234000"),  # a length that is no digit
        (MessageFormat.BCD_JPOS, "156221558812340000", "156221558812340001"),
        (MessageFormat.BCD, "0011", "1011"),
        (MessageFormat.UNIONPAY_POS, "0110", "0111"),
        (MessageFormat.BCD, "4300000150", "4100000150"),  # a sign that is none
        (MessageFormat.EBCDIC, "F1F5F6F2", "41F5F6F2"),  # a no-break space before the length
    ],
)
def test_what_a_format_would_not_write_is_refused(form: MessageFormat, right: str, wrong: str) -> None:
    wire = codec(form).encode(ODD)
    assert 1 == wire.count(bytes.fromhex(right))

    with pytest.raises(Malformed):
        codec(form).decode(wire.replace(bytes.fromhex(right), bytes.fromhex(wrong)))


def test_a_second_bitmap_that_names_nothing_is_refused() -> None:
    wire = CODEC.encode({"t": "0200", "11": "000123"})
    assert b"0200" + bytes.fromhex("0020000000000000") + b"000123" == wire

    with pytest.raises(Malformed):
        CODEC.decode(b"0200" + bytes.fromhex("8020000000000000") + bytes(8) + b"000123")


# The MAC of a member link


def test_the_mac_of_a_member_link_covers_its_elements_only() -> None:
    member = Codec(specification(8), lambda text: text[:8], check_mac, MacText.MEMBER)
    fields = {**REQUEST, "2": "62215588"}

    assert b"0200 086" == mab(fields)[:8]
    assert member.sign(fields).endswith(b"0200 086")
    assert member.sign(fields)[-8:] == member.sign({**fields, "52": "FF" * 8})[-8:]


def test_a_message_of_a_member_link_is_returned_only_with_the_right_mac() -> None:
    member = codec(MessageFormat.ASCII, MacText.MEMBER)

    assert REQUEST == member.check(member.sign(REQUEST))
    with pytest.raises(SignatureInvalid):
        member.check(member.sign(REQUEST)[:-1] + b"!")


def test_a_message_of_a_member_link_without_mac_element_is_refused() -> None:
    member = codec(MessageFormat.ASCII, MacText.MEMBER)

    with pytest.raises(Malformed):
        member.check(member.encode({"t": "0200", "11": "000123", "41": MAC.decode()}))


def test_a_message_of_a_member_link_with_an_altered_covered_element_is_refused() -> None:
    texts: list[bytes] = []
    member = Codec(specification(8), lambda text: MAC, lambda text, tag: texts.append(text), MacText.MEMBER)
    member.check(member.sign(REQUEST).replace(b"000000001000", b"000000009000"))

    assert [mab({**REQUEST, "4": "000000009000"})] == texts
