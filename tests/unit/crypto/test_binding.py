"""Binding of texts into one byte string."""

import pytest

from tallystick import errors
from tallystick.crypto.binding import bind


def test_each_part_stands_behind_its_length_in_bytes() -> None:
    assert bytes.fromhex("00000001 61 00000002 c3a9") == bind("a", "é")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("ab",), ("a", "b")),
        ((), ("",)),
        (("",), ("", "")),
        (("a", ""), ("", "a")),
        (("a\x00\x00\x00\x01b",), ("a", "b")),
    ],
)
def test_different_lists_of_parts_never_give_the_same_bytes(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert bind(*one) != bind(*other)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(errors.FieldInvalid):
        bind("ok", "\ud800")
