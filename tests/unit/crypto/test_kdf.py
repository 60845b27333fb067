"""Derived keys and keyed digests."""

import hashlib
import hmac

import pytest

from tallystick import errors
from tallystick.crypto import kdf
from tallystick.crypto.binding import bind

KEY = bytes(range(32))


def test_derive_agrees_with_test_case_3_of_rfc_5869() -> None:
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    assert expected == kdf.derive(b"\x0b" * 22, "", 42).hex()


def test_the_purpose_is_the_info_of_hkdf() -> None:
    extracted = hmac.digest(bytes(32), KEY, "sha256")
    assert hmac.digest(extracted, b"tallystick/a\x01", "sha256") == kdf.derive(KEY, "tallystick/a")


def test_purposes_and_keys_give_different_keys() -> None:
    derived = [kdf.derive(KEY, "a"), kdf.derive(KEY, "b"), kdf.derive(KEY[::-1], "a")]
    assert 3 == len(set(derived))
    assert [32, 32, 32] == [len(key) for key in derived]


def test_a_digest_is_hmac_sha256_over_the_bound_parts() -> None:
    assert hmac.new(KEY, bind("phone", "+8613800000000"), hashlib.sha256).digest() == kdf.digest(
        KEY, "phone", "+8613800000000"
    )


def test_a_digest_keeps_parts_apart() -> None:
    assert kdf.digest(KEY, "ab", "c") != kdf.digest(KEY, "a", "bc")


@pytest.mark.parametrize("key", [b"", b"k" * 15])
def test_an_empty_or_short_key_is_refused(key: bytes) -> None:
    with pytest.raises(errors.Misconfigured):
        kdf.derive(key, "a")
    with pytest.raises(errors.Misconfigured):
        kdf.digest(key, "a")
