"""What the store keeps for long opens after every rotation, until its key is destroyed."""

import pytest

from tallystick.crypto.versioned import version_of
from tallystick.errors import EnvelopeUnopenable
from tallystick.security.ports import Purpose
from tallystick.security.sealing import seal, unseal
from tallystick.testing.keyring import MemoryKeyring


def test_what_was_sealed_before_a_rotation_opens_after_it_and_no_more_once_its_key_is_destroyed() -> None:
    keyring = MemoryKeyring()
    before = seal(keyring, Purpose.AT_REST, b"value", b"place")
    keyring.rotate(Purpose.AT_REST)
    after = seal(keyring, Purpose.AT_REST, b"value", b"place")
    assert (1, 2) == (version_of(before), version_of(after))
    assert [b"value"] * 2 == [unseal(keyring, Purpose.AT_REST, sealed, b"place") for sealed in (before, after)]
    keyring.destroy(Purpose.AT_REST, 1)
    with pytest.raises(EnvelopeUnopenable):
        unseal(keyring, Purpose.AT_REST, before, b"place")
    assert b"value" == unseal(keyring, Purpose.AT_REST, after, b"place")


def test_purposes_never_mix() -> None:
    keyring = MemoryKeyring()
    with pytest.raises(EnvelopeUnopenable):
        unseal(keyring, Purpose.VAULT, seal(keyring, Purpose.AT_REST, b"value", b"place"), b"place")


def test_what_is_sealed_under_a_key_that_is_pending_here_opens() -> None:
    """Another process may have activated it a moment before this one hears of it."""
    here, there = MemoryKeyring(), MemoryKeyring()
    here.prepare(Purpose.AT_REST)
    there.rotate(Purpose.AT_REST)
    assert b"value" == unseal(here, Purpose.AT_REST, seal(there, Purpose.AT_REST, b"value", b"place"), b"place")
