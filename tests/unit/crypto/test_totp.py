"""Codes of an authenticator app (RFC 6238)."""

import pytest

from tallystick.crypto import totp
from tallystick.runtime import Millis
from tallystick.secret import Secret

KEY = b"12345678901234567890"

# RFC 6238 appendix B, the rows of SHA-1.
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]


@pytest.mark.parametrize(("second", "code"), VECTORS)
def test_the_codes_are_those_of_rfc_6238(second: int, code: str) -> None:
    assert code == totp.code_at(KEY, Millis(second * 1000)).reveal()
    assert second // 30 == totp.matching_step(KEY, Secret(code), Millis(second * 1000))


@pytest.mark.parametrize(("late_s", "counts"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_code_counts_in_its_own_step_and_the_two_beside_it(late_s: int, *, counts: bool) -> None:
    code = totp.code_at(KEY, Millis(1_800_000_000_000))
    found = totp.matching_step(KEY, code, Millis(1_800_000_000_000 + late_s * 1000))
    assert (60_000_000 if counts else None) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9428708",
        "942870820",
        "94287082 ",
        "94287082".translate({48 + digit: 0xFF10 + digit for digit in range(10)}),
    ],
)
def test_what_is_no_code_matches_nothing(text: str) -> None:
    assert totp.matching_step(KEY, Secret(text), Millis(59_000)) is None


def test_the_address_for_the_app_says_all_that_it_needs_and_masks_itself() -> None:
    address = totp.provisioning_uri(KEY, "li", "pay.example")
    assert address.reveal().startswith("otpauth://totp/pay.example:li?")
    assert {"digits=8", "issuer=pay.example", "period=30"} <= set(address.reveal().partition("?")[2].split("&"))
    assert "GEZDGNBVGY3TQOJQ" not in repr(address)
