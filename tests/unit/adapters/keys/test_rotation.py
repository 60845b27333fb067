"""Rotation of long-lived keys: in steps that every process follows, whatever a crash cuts short."""

from pathlib import Path

import pytest

from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.files import RETIRED_MS, FileKeyring
from tallystick.adapters.keys.rotation import SETTLE_MS, KeyRotation
from tallystick.adapters.keys.wrapper import PlainFiles
from tallystick.crypto.signing import Ed25519Public
from tallystick.errors import Conflict, KeyUnknown, Misconfigured, NotFound
from tallystick.runtime import Millis, SystemRandomness
from tallystick.security.ports import KeyState, Purpose

START = 1_800_000_000_000
VAULT = Purpose.VAULT


def at(ms: int) -> Millis:
    return Millis(START + ms)


@pytest.fixture
def rotation(tmp_path: Path) -> KeyRotation:
    FileKeyring.create(tmp_path / "keys", SystemRandomness(), at(0))
    return KeyRotation(tmp_path / "keys", PlainFiles(), SystemRandomness())


def rotate(rotation: KeyRotation, begins: int = 0, purpose: Purpose = VAULT) -> None:
    rotation.prepare(purpose, at(begins))
    rotation.activate(purpose, at(begins + SETTLE_MS))


def test_a_key_is_pending_then_active_and_its_predecessor_reads_until_it_is_destroyed(
    rotation: KeyRotation, tmp_path: Path
) -> None:
    first = FileKeyring.load(tmp_path / "keys").active(VAULT)
    assert (2, KeyState.PENDING) == ((made := rotation.prepare(VAULT, at(0))).version, made.state)
    assert first == FileKeyring.load(tmp_path / "keys").active(VAULT)
    assert KeyState.ACTIVE is rotation.activate(VAULT, at(SETTLE_MS)).state
    keyring = FileKeyring.load(tmp_path / "keys")
    assert (2, first) == (keyring.active(VAULT).version, keyring.version(VAULT, 1))
    gone = rotation.destroy(VAULT, 1, at(SETTLE_MS + RETIRED_MS))
    assert (KeyState.DESTROYED, at(SETTLE_MS + RETIRED_MS)) == (gone.state, gone.destroyed_at)
    with pytest.raises(KeyUnknown):
        FileKeyring.load(tmp_path / "keys").version(VAULT, 1)
    assert not (tmp_path / "keys" / "vault-1.key").exists()
    assert gone == rotation.destroy(VAULT, 1, at(SETTLE_MS + RETIRED_MS + 5))


def test_other_purposes_are_untouched(rotation: KeyRotation, tmp_path: Path) -> None:
    before = FileKeyring.load(tmp_path / "keys")
    rotate(rotation)
    after = FileKeyring.load(tmp_path / "keys")
    assert {VAULT} == {purpose for purpose in Purpose if before.active(purpose) != after.active(purpose)}


def test_no_key_is_activated_before_every_process_has_read_it(rotation: KeyRotation) -> None:
    with pytest.raises(NotFound):
        rotation.activate(VAULT, at(0))
    rotation.prepare(VAULT, at(0))
    with pytest.raises(Conflict):
        rotation.activate(VAULT, at(SETTLE_MS - 1))


def test_preparing_twice_makes_one_key(rotation: KeyRotation) -> None:
    assert rotation.prepare(VAULT, at(0)) == rotation.prepare(VAULT, at(5))


def test_a_key_in_use_is_never_destroyed(rotation: KeyRotation) -> None:
    with pytest.raises(Conflict, match="active"):
        rotation.destroy(VAULT, 1, at(0))
    rotation.prepare(VAULT, at(0))
    with pytest.raises(Conflict, match="pending"):
        rotation.destroy(VAULT, 2, at(0))
    rotation.activate(VAULT, at(SETTLE_MS))
    with pytest.raises(Conflict, match="a moment ago"):
        rotation.destroy(VAULT, 1, at(SETTLE_MS + RETIRED_MS - 1))
    with pytest.raises(NotFound):
        rotation.destroy(VAULT, 9, at(0))


def test_what_a_crash_left_is_destroyed_by_the_next_step(rotation: KeyRotation, tmp_path: Path) -> None:
    """A key that was written but never listed, and one that was listed as destroyed but is still there."""
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.create("vault-2.key", b"never listed")
    rotate(rotation)
    kept = (tmp_path / "keys" / "vault-1.key").read_bytes()
    rotation.destroy(VAULT, 1, at(SETTLE_MS + RETIRED_MS))
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.create("vault-1.key", kept)
    rotation.prepare(VAULT, at(0))
    assert not (tmp_path / "keys" / "vault-1.key").exists()
    assert {1, 2, 3} == {
        entry.version for entry in FileKeyring.load(tmp_path / "keys").entries if entry.purpose is VAULT
    }


def test_two_processes_never_rotate_at_once(rotation: KeyRotation, tmp_path: Path) -> None:
    with KeyDirectory(tmp_path / "keys", write=True), pytest.raises(Misconfigured, match="another process"):
        rotation.prepare(VAULT, at(0))


def test_the_public_half_of_a_destroyed_identity_key_still_verifies_what_it_signed(
    rotation: KeyRotation, tmp_path: Path
) -> None:
    signature = FileKeyring.load(tmp_path / "keys").identity.sign(b"checkpoint")
    rotate(rotation, purpose=Purpose.IDENTITY)
    rotation.destroy(Purpose.IDENTITY, 1, at(SETTLE_MS + RETIRED_MS))
    loaded = FileKeyring.load(tmp_path / "keys")
    first, newest = [entry.public for entry in loaded.entries if entry.public is not None]
    Ed25519Public.from_raw(first).verify(b"checkpoint", signature)
    assert newest == loaded.identity.public().raw()
