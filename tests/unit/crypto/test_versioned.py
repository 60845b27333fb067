"""Keys that have successors: what they make names its version, and the name cannot be changed."""

import pytest

from tallystick.crypto import versioned
from tallystick.crypto.versioned import VersionedKey
from tallystick.errors import EnvelopeUnopenable

OLD, NEW = VersionedKey(1, bytes(32)), VersionedKey(2, bytes(31) + b"1")


def test_a_sealed_value_names_the_key_that_opens_it() -> None:
    sealed = versioned.seal(NEW, b"value", b"place")
    assert 2 == versioned.version_of(sealed)
    assert b"value" == versioned.unseal(NEW, sealed, b"place")


@pytest.mark.parametrize("position", range(5))
def test_a_changed_header_opens_nothing_even_under_the_right_key(position: int) -> None:
    sealed = bytearray(versioned.seal(NEW, b"value", b"place"))
    sealed[position] ^= 1
    with pytest.raises(EnvelopeUnopenable):
        versioned.unseal(NEW, bytes(sealed), b"place")


@pytest.mark.parametrize("made", [b"", b"\x01", b"\x01\x00\x00\x00", b"\x02\x00\x00\x00\x01" + bytes(40)])
def test_what_names_no_version_is_refused(made: bytes) -> None:
    with pytest.raises(EnvelopeUnopenable):
        versioned.version_of(made)


def test_digests_of_an_older_key_stand_before_all_newer_ones() -> None:
    old, new = ([versioned.digest(key, "name", str(number)) for number in range(50)] for key in (OLD, NEW))
    assert max(old) < versioned.header(2) <= min(new)


def test_a_check_value_is_the_beginning_of_the_cmac_of_zeros() -> None:
    """The key of NIST SP 800-38B; its CMAC of one zero block by `openssl mac -cipher AES-256-CBC … CMAC`."""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    assert "1A0B2DF267" == versioned.check_value(key)


def test_no_key_is_printed() -> None:
    assert "VersionedKey(version=1)" == repr(OLD)
