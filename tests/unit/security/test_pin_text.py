"""The two forms of the field `pin_block`."""

import pytest

from tallystick.errors import FieldInvalid
from tallystick.secret import Secret
from tallystick.security.pin_text import PinText, check_pin_text, read_pin_text

BLOCK_4 = Secret("0123456789ABCDEF" * 2)
TOKEN = "9000000000000002"
WRITTEN = [
    PinText(form=1, key="till-7", block=Secret("0123456789ABCDEF")),
    PinText(form=1, key="till-7", ksn="FFFF9876543210E00001", block=Secret("0123456789ABCDEF")),
    PinText(form=4, key="app", token=TOKEN, block=BLOCK_4),
    PinText(form=4, key="app", ksn="123456789012345600000001", token=TOKEN, block=BLOCK_4),
]


@pytest.mark.parametrize("text", WRITTEN, ids=lambda text: f"format {text.form} {text.ksn}")
def test_an_enciphered_block_comes_back_as_it_was_written(text: PinText) -> None:
    assert text == read_pin_text(check_pin_text(text.write().reveal()))


def test_a_clear_block_is_folded_and_is_no_enciphered_one() -> None:
    checked = check_pin_text(" 1412348f0a3b5c7d ")

    assert Secret("1412348F0A3B5C7D") == checked
    assert read_pin_text(checked) is None


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "0412348F0A3B5C7D",
        "1312348F0A3B5C7D",
        "format=0;key=a;block=0123456789ABCDEF",
        "format=3;key=a;block=0123456789ABCDEF",
        "format=1;block=0123456789ABCDEF",
        "format=1;key=;block=0123456789ABCDEF",
        "format=1;key=A;block=0123456789ABCDEF",
        "format=1;key=a;block=0123456789ABCDE",
        "format=1;key=a;block=0123456789abcdef",
        "format=1;key=a;token=9000000000000002;block=0123456789ABCDEF",
        "format=1;key=a;ksn=12;block=0123456789ABCDEF",
        "format=1;key=a;block=0123456789ABCDEF;ksn=FFFF9876543210E00001",
        f"format=4;key=a;block={BLOCK_4.reveal()}",
        f"format=4;key=a;token=6221558812340000;block={BLOCK_4.reveal()}",
        f"format=4;key=a;token=90000000000;block={BLOCK_4.reveal()}",
        f"format=4;key=a;token={TOKEN};block=0123456789ABCDEF",
        f"format=4;key=a;token={TOKEN};block={BLOCK_4.reveal()};",
    ],
)
def test_anything_else_is_refused_without_showing_it(wrong: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        check_pin_text(wrong)

    assert "fields.pin_block" == refused.value.field
    assert not wrong or wrong not in str(refused.value)


def test_no_text_shows_its_block() -> None:
    assert BLOCK_4.reveal() not in repr(WRITTEN[2])
