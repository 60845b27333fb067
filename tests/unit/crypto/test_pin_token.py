"""Numbers that stand for a card number, and their binding."""

import pytest

from tallystick.crypto import pin_token
from tallystick.errors import Forbidden
from tallystick.secret import Pan
from tallystick.security.fields import warnings
from tallystick.testing.clock import SeededRandomness

KEY = bytes(range(32))
PAN = Pan("6221558812340000")
TOKEN = "9000000000000002"


def test_a_token_is_sixteen_digits_from_nine_and_never_passes_luhn() -> None:
    randomness = SeededRandomness(1)
    tokens = [pin_token.new_token(randomness) for _ in range(500)]

    assert {16} == {len(token) for token in tokens}
    assert {"9"} == {token[0] for token in tokens}
    assert {("pan_luhn",)} == {warnings({"pan": Pan(token)}) for token in tokens}
    assert 500 == len(set(tokens))


def test_a_record_binds_its_token_card_and_payment() -> None:
    made = pin_token.record(KEY, TOKEN, PAN, "pay_1")

    pin_token.check(KEY, TOKEN, PAN, "pay_1", made)


@pytest.mark.parametrize(
    ("key", "token", "pan", "payment", "cut"),
    [
        (KEY[::-1], TOKEN, PAN, "pay_1", 16),
        (KEY, "9000000000000003", PAN, "pay_1", 16),
        (KEY, TOKEN, Pan("6221558812340001"), "pay_1", 16),
        (KEY, TOKEN, PAN, "pay_2", 16),
        (KEY, TOKEN, PAN, "pay_1", 8),
        (KEY, TOKEN, PAN, "pay_1", 0),
    ],
)
def test_nothing_else_passes_for_it(key: bytes, token: str, pan: Pan, payment: str, cut: int) -> None:
    made = pin_token.record(KEY, TOKEN, PAN, "pay_1")

    with pytest.raises(Forbidden):
        pin_token.check(key, token, pan, payment, made[:cut])


@pytest.mark.parametrize("wrong", ["6221558812340000", "4111111111111111", "90000000000", "9000000000000000000x", ""])
def test_what_could_be_a_card_number_is_never_bound(wrong: str) -> None:
    with pytest.raises(Forbidden):
        pin_token.record(KEY, wrong, PAN, "pay_1")


def test_a_number_from_nine_that_passes_luhn_is_never_bound() -> None:
    body = "912345678901234"
    right = pin_token.luhn_digit(body)

    with pytest.raises(Forbidden):
        pin_token.record(KEY, f"{body}{right}", PAN, "pay_1")
    pin_token.record(KEY, f"{body}{(right + 1) % 10}", PAN, "pay_1")
