"""The elements and formats: the page that shows them, and what a format may change."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from tallystick.crypto.mac import MacAlgorithm
from tallystick.iso8583.forms import form_of
from tallystick.iso8583.framing import FRAME_MAX, LengthHeader
from tallystick.iso8583.mac_text import MEMBER, MEMBER_MANAGEMENT, MacText
from tallystick.iso8583.network_header import SIZES, NetworkHeader
from tallystick.iso8583.spec import ELEMENTS, LAYOUTS, MESSAGE_MAX, MessageFormat, specification

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "iso8583.md").read_text()


def test_the_page_shows_every_element() -> None:
    rows = [
        f"| {number} | {kind} {'.' * prefix}{size} | {name} |"
        for number, (kind, prefix, size, name) in ELEMENTS.items()
    ]

    assert rows == [line for line in PAGE.splitlines() if re.match(r"\| [0-9]+ \| (n|x|an|ans|z|b) ", line)]


@pytest.mark.parametrize("choices", [LengthHeader, NetworkHeader, MessageFormat, MacText, MacAlgorithm])
def test_the_page_shows_every_choice(choices: type[StrEnum]) -> None:
    assert [] == [choice for choice in choices if f"\n| `{choice}` | " not in PAGE]


def test_the_page_states_sizes_and_covered_elements_as_they_are() -> None:
    assert f"at most {FRAME_MAX:,} bytes behind its length header, a message {MESSAGE_MAX:,}." in PAGE
    assert [] == [kind for kind in NetworkHeader if f"| `{kind}` | {SIZES[kind]} |" not in PAGE]
    assert f"type, {', '.join(MEMBER[:-1])}, first 20 digits of 90" in PAGE
    assert f"in 08xx: {', '.join(MEMBER_MANAGEMENT)} |" in PAGE


@pytest.mark.parametrize("form", list(MessageFormat))
def test_every_format_has_the_same_elements_and_names(form: MessageFormat) -> None:
    assert {number: element.name for number, element in ELEMENTS.items()} == {
        number: element.name for number, element in specification(8, form).elements.items()
    }


@pytest.mark.parametrize("form", list(MessageFormat))
def test_pin_block_chip_data_and_mac_are_binary_in_every_format(form: MessageFormat) -> None:
    elements = specification(8, form).elements

    assert {"b"} == {elements[number].kind for number in ("52", "55", "64", "96", "128")}
    assert all(b"\x0f" * 8 == form_of(elements[number], LAYOUTS[form]).write("0F" * 8) for number in ("52", "64"))


@pytest.mark.parametrize("form", list(MessageFormat))
@pytest.mark.parametrize("size", [8, 16])
def test_the_pin_block_has_the_size_asked_for(form: MessageFormat, size: int) -> None:
    assert size == specification(size, form).elements["52"].size  # type: ignore[arg-type]


def test_elements_stand_in_their_order() -> None:
    assert sorted(ELEMENTS, key=int) == list(ELEMENTS)
