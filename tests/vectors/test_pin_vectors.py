"""ISO 9564-1 vectors (each names its source in data/pinblock.json)."""

import json
from pathlib import Path
from typing import Any

import psec
import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from tallystick.crypto import pin, pin_fields, pin_translate
from tallystick.crypto.pin import PinFormat
from tallystick.errors import Forbidden, Malformed
from tallystick.secret import Pan, Secret

VECTORS = json.loads((Path(__file__).parent / "data" / "pinblock.json").read_text())
KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
ECB = Cipher(TripleDES(KEY + KEY[:8]), modes.ECB())  # noqa: S305 (single blocks, as ISO 9564-2 says)


def cases(form: int, *, block: bool = True) -> list[dict[str, Any]]:
    return [case for case in VECTORS["cases"] if case["fmt"] == form and block == ("block" in case)]


def format_4(what: str) -> list[dict[str, Any]]:
    return [case for case in VECTORS["format4"] if case["what"] == what]


def block_1(digits: str) -> Secret:
    return Secret(f"1{len(digits):X}{digits}".ljust(16, "F"))


def enciphered(block: str) -> bytes:
    whole = bytes.fromhex(block)
    return ECB.encryptor().update(whole) if len(whole) == 8 else whole


@pytest.mark.parametrize("case", cases(0))
def test_format_0_is_built_as_published(case: dict[str, Any]) -> None:
    translated = pin_translate.translate_clear(block_1(case["pin"]), Pan(case["pan"]), KEY, PinFormat.ISO_0)

    assert case["block"] == ECB.decryptor().update(translated).hex().upper()


@pytest.mark.parametrize("case", [*cases(0), *cases(3)])
def test_formats_0_and_3_are_read_as_published(case: dict[str, Any]) -> None:
    pin.verify(enciphered(case["block"]), Pan(case["pan"]), KEY, PinFormat(case["fmt"]), Secret(case["pin"]))


@pytest.mark.parametrize("case", cases(3, block=False))
def test_format_3_is_built_as_published(case: dict[str, Any]) -> None:
    translated = pin_translate.translate_clear(block_1(case["pin"]), Pan(case["pan"]), KEY, PinFormat.ISO_3)

    assert case["block_prefix"] == ECB.decryptor().update(translated).hex().upper()[:6]


@pytest.mark.parametrize("case", cases(1))
def test_format_1_is_read_as_published(case: dict[str, Any]) -> None:
    pan = Pan("5555555551234567")
    translated = pin_translate.translate_clear(Secret(case["block"]), pan, KEY, PinFormat.ISO_0)

    pin.verify(translated, pan, KEY, PinFormat.ISO_0, Secret(case["pin"]))


@pytest.mark.parametrize("case", cases(1, block=False))
def test_format_1_is_built_as_published(case: dict[str, Any]) -> None:
    assert case["block_prefix"] == pin.pin_block_1(Secret(case["pin"])).reveal()[:6]


@pytest.mark.parametrize("case", [*cases(2), *VECTORS["unionpay_no_pan"]])
def test_formats_that_are_never_ours_are_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Forbidden):
        pin_translate.translate_clear(Secret(case["block"]), Pan("5555555551234567"), KEY, PinFormat.ISO_0)


@pytest.mark.parametrize("case", format_4("decipher"))
def test_format_4_is_deciphered_as_published(case: dict[str, Any]) -> None:
    key, block = bytes.fromhex(case["key"]), bytes.fromhex(case["enc"])

    pin.verify(block, Pan(case["pan"]), key, PinFormat.ISO_4, Secret(case["pin"]))


@pytest.mark.parametrize("case", format_4("encipher"))
def test_format_4_is_enciphered_as_published(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fill = bytes.fromhex(case["random8"])
    monkeypatch.setattr("secrets.token_bytes", lambda count: fill[:count])

    block = pin_translate.translate_clear(
        block_1(case["pin"]), Pan(case["pan"]), bytes.fromhex(case["key"]), PinFormat.ISO_4
    )

    assert case["enc"] == block.hex().upper()


@pytest.mark.parametrize("case", format_4("pan_field"))
def test_the_card_number_field_of_format_4_is_built_as_published(case: dict[str, Any]) -> None:
    assert case["field"] == pin_fields.pan_field_4(case["pan"]).hex().upper()


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["why"])
def test_a_published_invalid_block_is_refused(case: dict[str, Any]) -> None:
    form = PinFormat(case["fmt"])
    key = bytes.fromhex(case["key"]) if form is PinFormat.ISO_4 else KEY
    block = bytes.fromhex(case["enc"]) if form is PinFormat.ISO_4 else enciphered(case["block"])

    with pytest.raises(Malformed):
        pin.verify(block, Pan(case["pan"]), key, form, Secret("1234"))


def test_there_are_eleven_invalid_blocks() -> None:
    assert 11 == len(VECTORS["invalid"])


@pytest.mark.parametrize("case", cases(0))
def test_psec_builds_the_same_format_0_block(case: dict[str, Any]) -> None:
    built = psec.pinblock.encode_pinblock_iso_0(case["pin"], case["pan"])

    assert built == ECB.decryptor().update(pin.encipher(Secret(case["pin"]), PinFormat.ISO_0, KEY, Pan(case["pan"])))


@pytest.mark.parametrize("digits", ["1234", "123456", "123456789012"])
@pytest.mark.parametrize("number", ["1", "432198765432109870", "9000000000000001", "1234567890123456789"])
def test_psec_reads_the_pin_out_of_our_format_4_block(digits: str, number: str) -> None:
    key = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
    block = pin.encipher(Secret(digits), PinFormat.ISO_4, key, Secret(number))

    assert digits == psec.pinblock.decipher_pinblock_iso_4(key, block, number)


@pytest.mark.parametrize("digits", ["1234", "123456789012"])
def test_psec_reads_the_pin_out_of_our_format_3_block(digits: str) -> None:
    block = pin.encipher(Secret(digits), PinFormat.ISO_3, KEY, Pan("5555555551234567"))

    assert digits == psec.pinblock.decode_pinblock_iso_3(ECB.decryptor().update(block), "5555555551234567")
