"""PIN blocks: what is translated, for which card, under which key."""

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from tallystick.crypto import pin, pin_translate
from tallystick.crypto.pin import PinFormat
from tallystick.errors import CredentialRefused, FieldInvalid, Forbidden, Malformed, Misconfigured
from tallystick.secret import Pan, Secret

TDES = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
AES = bytes.fromhex("C1D0F8FB4958670DBA40AB1F3752EF0D")
PAN = Pan("6221558812340000")
PIN = Secret("123456")
TARGETS = [(PinFormat.ISO_0, TDES, 8), (PinFormat.ISO_3, TDES, 8), (PinFormat.ISO_4, AES, 16)]


def clear_tdes(block: bytes) -> str:
    return Cipher(TripleDES(TDES + TDES[:8]), modes.ECB()).decryptor().update(block).hex().upper()  # noqa: S305


@pytest.mark.parametrize(("target", "key", "size"), TARGETS)
def test_a_translated_block_verifies_against_its_pin_and_card(target: PinFormat, key: bytes, size: int) -> None:
    block = pin_translate.translate_clear(pin.pin_block_1(PIN), PAN, key, target)

    assert size == len(block)
    pin.verify(block, PAN, key, target, PIN)


@pytest.mark.parametrize(("target", "key", "size"), TARGETS)
def test_another_pin_is_refused_as_a_wrong_pin(target: PinFormat, key: bytes, size: int) -> None:
    block = pin_translate.translate_clear(pin.pin_block_1(Secret("123457")), PAN, key, target)

    with pytest.raises(CredentialRefused):
        pin.verify(block, PAN, key, target, PIN)


def test_a_format_0_block_binds_to_its_card() -> None:
    block = pin_translate.translate_clear(pin.pin_block_1(PIN), PAN, TDES, PinFormat.ISO_0)

    with pytest.raises(Malformed):
        pin.verify(block, Pan("6221558899990000"), TDES, PinFormat.ISO_0, PIN)


def test_a_format_4_block_binds_to_its_card() -> None:
    block = pin_translate.translate_clear(pin.pin_block_1(PIN), PAN, AES, PinFormat.ISO_4)

    with pytest.raises(Malformed):
        pin.verify(block, Pan("6221558899990000"), AES, PinFormat.ISO_4, PIN)


def test_two_format_4_blocks_of_one_pin_differ() -> None:
    blocks = {pin_translate.translate_clear(pin.pin_block_1(PIN), PAN, AES, PinFormat.ISO_4) for _ in range(4)}

    assert 4 == len(blocks)


def test_format_0_has_no_random_part() -> None:
    blocks = {pin_translate.translate_clear(pin.pin_block_1(PIN), PAN, TDES, PinFormat.ISO_0) for _ in range(4)}

    assert 1 == len(blocks)


def test_the_fill_of_format_3_is_random_above_nine() -> None:
    blocks = {pin_translate.translate_clear(pin.pin_block_1(PIN), PAN, TDES, PinFormat.ISO_3) for _ in range(8)}

    assert 1 < len(blocks)
    assert {"3612"} == {clear_tdes(block)[:4] for block in blocks}


def test_a_format_1_block_is_control_length_pin_and_random_fill() -> None:
    blocks = {pin.pin_block_1(Secret("1234")).reveal() for _ in range(8)}

    assert {"141234"} == {block[:6] for block in blocks}
    assert {16} == {len(block) for block in blocks}
    assert 1 < len(blocks)


def test_a_pin_of_twelve_digits_fits_every_format() -> None:
    longest = Secret("123456789012")
    for target, key, _ in TARGETS:
        pin.verify(pin_translate.translate_clear(pin.pin_block_1(longest), PAN, key, target), PAN, key, target, longest)


@pytest.mark.parametrize("wrong", ["", "123", "1234567890123", "12345a", "\uff11\uff12\uff13\uff14", " 1234"])
def test_a_format_1_block_takes_four_to_twelve_ascii_digits_only(wrong: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        pin.pin_block_1(Secret(wrong))

    assert not wrong or wrong not in str(refused.value)


@pytest.mark.parametrize("target", list(PinFormat))
@pytest.mark.parametrize("control", "023456789ABCDEF")
def test_only_format_1_is_translated(control: str, target: PinFormat) -> None:
    with pytest.raises(Forbidden):
        pin_translate.translate_clear(Secret(f"{control}6123456FFFFFFFF"), PAN, TDES, target)


def test_nothing_is_translated_into_format_1() -> None:
    with pytest.raises(Forbidden):
        pin_translate.translate_clear(pin.pin_block_1(PIN), PAN, TDES, PinFormat.ISO_1)


@pytest.mark.parametrize(
    "wrong",
    [
        "16123456FFFFFFF",  # 15 nibbles
        "16123456FFFFFFFFF",  # 17 nibbles
        "1312345678901234",  # length 3
        "1D12345678901234",  # length 13
        "1612345AFFFFFFFF",  # digit A
        "16123456ffffffff",  # lower case: the part's check folds it
        "16123456FFFFFFFG",
    ],
)
def test_a_damaged_format_1_block_is_refused_without_showing_it(wrong: str) -> None:
    with pytest.raises(Malformed) as refused:
        pin_translate.translate_clear(Secret(wrong), PAN, TDES, PinFormat.ISO_0)

    assert "123" not in str(refused.value)


def test_a_card_number_of_twelve_digits_fits_no_format_0_block() -> None:
    with pytest.raises(FieldInvalid):
        pin_translate.translate_clear(pin.pin_block_1(PIN), Pan("622155881234"), TDES, PinFormat.ISO_0)


@pytest.mark.parametrize("wrong", ["", "62215588123400000000", "622155881234000A", "\uff16221558812340000"])
@pytest.mark.parametrize(("target", "key", "size"), TARGETS)
def test_what_is_no_card_number_is_refused(target: PinFormat, key: bytes, size: int, wrong: str) -> None:
    with pytest.raises(FieldInvalid):
        pin_translate.translate_clear(pin.pin_block_1(PIN), Pan(wrong), key, target)


@pytest.mark.parametrize(
    ("form", "key"),
    [
        (PinFormat.ISO_0, TDES[:8]),
        (PinFormat.ISO_0, TDES + TDES[:8]),
        (PinFormat.ISO_0, TDES[:8] * 2),
        (PinFormat.ISO_3, b""),
        (PinFormat.ISO_4, AES[:8]),
        (PinFormat.ISO_4, b""),
    ],
)
def test_a_zone_key_of_wrong_shape_is_refused_at_start_and_at_use(form: PinFormat, key: bytes) -> None:
    with pytest.raises(Misconfigured):
        pin.check_key(form, key)
    with pytest.raises(Misconfigured):
        pin_translate.translate_clear(pin.pin_block_1(PIN), PAN, key, form)


@pytest.mark.parametrize(("form", "key", "size"), TARGETS)
def test_a_good_zone_key_is_accepted(form: PinFormat, key: bytes, size: int) -> None:
    pin.check_key(form, key)


def test_a_block_is_never_verified_as_format_1() -> None:
    with pytest.raises(Malformed):
        pin.verify(bytes(8), PAN, TDES, PinFormat.ISO_1, PIN)
