"""Printed messages show nothing of a payer."""

from tallystick.iso8583.describe import describe
from tallystick.iso8583.spec import ELEMENTS
from tallystick.secret import MASK


def test_a_card_number_shows_six_and_four_digits() -> None:
    assert "type 0200\nDE2   primary account number: 622155••••••0000" == describe(
        {"t": "0200", "2": "6221558812340000"}
    )


def test_elements_are_listed_by_number() -> None:
    lines = describe({"39": "00", "4": "000000001000", "t": "0210"}).splitlines()

    assert ["type 0210", "DE4   amount: 000000001000", "DE39  response code: 00"] == lines


def test_every_element_that_is_not_declared_public_is_masked() -> None:
    for number in ("14", "35", "36", "45", "48", "52", "54", "55", "61", "62", "64", "96", "102", "128", "77", "65"):
        assert describe({number: "0123456789"}).endswith(f": {MASK}")


def test_an_element_unknown_to_the_variant_is_masked() -> None:
    assert "65" not in ELEMENTS
    assert f"DE65  unknown: {MASK}" == describe({"65": "1"})
