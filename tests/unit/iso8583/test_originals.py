"""DE90: what a reversal says of its request."""

import pytest

from tallystick.errors import FieldInvalid
from tallystick.iso8583.originals import Original, original_of, read_original, write_original

REQUEST = {"t": "0200", "7": "1123190730", "11": "000123", "32": "48021910", "33": "00010344", "4": "000000001000"}
WRITTEN = "0200" + "000123" + "1123190730" + "00048021910" + "00000010344"


def test_a_request_is_written_as_42_digits() -> None:
    assert WRITTEN == write_original(original_of(REQUEST))
    assert 42 == len(WRITTEN)


def test_what_is_written_is_read() -> None:
    assert original_of(REQUEST) == read_original(WRITTEN)
    assert Original("0200", "000123", "1123190730", "48021910", "10344") == read_original(WRITTEN)


def test_a_request_without_institutions_has_zeros_for_them() -> None:
    original = original_of({number: REQUEST[number] for number in ("t", "7", "11")})

    assert "0" * 22 == write_original(original)[20:]
    assert original == read_original(write_original(original))


@pytest.mark.parametrize("de90", ["", WRITTEN[:-1], WRITTEN + "0", WRITTEN[:-1] + "A", WRITTEN[:-1] + "\uff10"])
def test_anything_but_42_digits_is_refused(de90: str) -> None:
    with pytest.raises(FieldInvalid):
        read_original(de90)


@pytest.mark.parametrize(
    "original",
    [
        Original("200", "000123", "1123190730"),
        Original("0200", "123", "1123190730"),
        Original("0200", "000123", "112319073"),
        Original("0200", "000123", "1123190730", "123456789012"),
        Original("0200", "000123", "1123190730", "48021910", "ABC"),
    ],
)
def test_a_part_that_does_not_fit_is_refused(original: Original) -> None:
    with pytest.raises(FieldInvalid):
        write_original(original)
