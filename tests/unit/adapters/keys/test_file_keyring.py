"""The long-lived keys."""

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from tallystick.adapters.keys import manifest
from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.files import LOOK_MS, RETIRED_MS, FileKeyring
from tallystick.crypto.versioned import VersionedKey
from tallystick.errors import AlreadyExists, KeyUnknown, Misconfigured, Unavailable
from tallystick.runtime import Millis, SystemRandomness
from tallystick.security.ports import KeyState, Purpose
from tallystick.testing.desk import SetClock

NOW = Millis(1_800_000_000_000)


def create(path: Path) -> FileKeyring:
    return FileKeyring.create(path, SystemRandomness(), NOW)


def test_each_purpose_has_its_own_key_and_all_come_back(tmp_path: Path) -> None:
    made, loaded = create(tmp_path / "keys"), FileKeyring.load(tmp_path / "keys")
    keys = [made.key(purpose) for purpose in Purpose]
    assert keys == [loaded.key(purpose) for purpose in Purpose]
    assert len(set(keys)) == len(Purpose)
    assert {len(key) for key in keys} == {32}
    assert made.identity.raw() == loaded.identity.raw()


def test_keys_in_use_are_never_made_anew(tmp_path: Path) -> None:
    made = create(tmp_path / "keys")
    with pytest.raises(AlreadyExists):
        create(tmp_path / "keys")
    assert made.key(Purpose.VAULT) == FileKeyring.load(tmp_path / "keys").key(Purpose.VAULT)


@pytest.mark.parametrize("name", ["vault-1.key", "identity-1.key", "keyring.json"])
def test_a_missing_or_damaged_key_stops_the_process(tmp_path: Path, name: str) -> None:
    create(tmp_path / "keys")
    (tmp_path / "keys" / name).write_bytes(b"damaged")
    with pytest.raises(Misconfigured):
        FileKeyring.load(tmp_path / "keys")
    (tmp_path / "keys" / name).unlink()
    with pytest.raises(Misconfigured, match="not complete"):
        FileKeyring.load(tmp_path / "keys")


def test_a_key_copied_over_that_of_another_purpose_stops_the_process(tmp_path: Path) -> None:
    create(tmp_path / "keys")
    shutil.copy(tmp_path / "keys" / "at-rest-1.key", tmp_path / "keys" / "vault-1.key")
    with pytest.raises(Misconfigured, match="another key"):
        FileKeyring.load(tmp_path / "keys")


def test_the_key_of_another_platform_stops_the_process(tmp_path: Path) -> None:
    create(tmp_path / "keys")
    create(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "vault-1.key", tmp_path / "keys" / "vault-1.key")
    with pytest.raises(Misconfigured, match="another key"):
        FileKeyring.load(tmp_path / "keys")


def test_no_key_is_printed(tmp_path: Path) -> None:
    assert "key" not in repr(create(tmp_path / "keys")).replace("FileKeyring", "").replace("adapters.keys", "")


class Rotated:
    """A directory whose vault key was rotated by hand, in the order a rotation writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        create(path)

    def prepare(self) -> None:
        with KeyDirectory(self.path, write=True) as files:
            made = manifest.write_key(files, Purpose.VAULT, VersionedKey(2, bytes(31) + b"2"), NOW)
            manifest.write_entries(files, (*manifest.read_entries(files), made))

    def activate(self, *, first: KeyState = KeyState.VERIFY_ONLY) -> None:
        with KeyDirectory(self.path, write=True) as files:
            states = {1: first, 2: KeyState.ACTIVE}
            entries = manifest.read_entries(files)
            vault = [replace(e, state=states[e.version]) for e in entries if e.purpose is Purpose.VAULT]
            manifest.write_entries(files, (*(e for e in entries if e.purpose is not Purpose.VAULT), *vault))


def test_a_process_follows_a_rotation_within_a_second_without_restart(tmp_path: Path) -> None:
    clock, rotated = SetClock(), Rotated(tmp_path / "keys")
    keyring = FileKeyring.load(rotated.path, clock=clock)
    rotated.prepare()
    assert 1 == len(keyring.readable(Purpose.VAULT))
    clock.pass_by(1_000)
    assert [1, 2] == [key.version for key in keyring.readable(Purpose.VAULT)]
    rotated.activate()
    assert 1 == keyring.active(Purpose.VAULT).version
    clock.pass_by(1_000)
    assert 2 == keyring.active(Purpose.VAULT).version
    assert 1 == keyring.version(Purpose.VAULT, 1).version
    rotated.activate(first=KeyState.DESTROYED)
    (rotated.path / "vault-1.key").unlink()
    clock.pass_by(1_000)
    assert (keyring.active(Purpose.VAULT),) == keyring.readable(Purpose.VAULT)
    with pytest.raises(KeyUnknown):
        keyring.version(Purpose.VAULT, 1)


def test_a_directory_that_cannot_be_read_for_a_while_leaves_the_keys_in_use(tmp_path: Path) -> None:
    clock, rotated = SetClock(), Rotated(tmp_path / "keys")
    keyring = FileKeyring.load(rotated.path, clock=clock)
    before = keyring.active(Purpose.VAULT)
    rotated.path.rename(tmp_path / "away")
    clock.pass_by(1_000)
    assert before == keyring.active(Purpose.VAULT)
    (tmp_path / "away").rename(rotated.path)
    rotated.prepare()
    rotated.activate()
    clock.pass_by(1_000)
    assert 2 == keyring.active(Purpose.VAULT).version


def test_two_active_keys_of_one_purpose_stop_the_process(tmp_path: Path) -> None:
    rotated = Rotated(tmp_path / "keys")
    rotated.prepare()
    rotated.activate(first=KeyState.ACTIVE)
    with pytest.raises(Misconfigured, match="not exactly one active key for vault"):
        FileKeyring.load(rotated.path)


def test_nothing_is_made_under_a_key_that_may_be_destroyed_by_now_and_reading_goes_on(tmp_path: Path) -> None:
    clock, rotated = SetClock(), Rotated(tmp_path / "keys")
    keyring = FileKeyring.load(rotated.path, clock=clock)
    clock.pass_by(5 * RETIRED_MS)
    first = keyring.active(Purpose.VAULT)
    rotated.path.rename(tmp_path / "away")
    clock.pass_by(RETIRED_MS - 1)
    assert first == keyring.active(Purpose.VAULT)
    clock.pass_by(1)
    for make in (keyring.active, keyring.key):
        with pytest.raises(Unavailable):
            make(Purpose.VAULT)
    assert first == keyring.version(Purpose.VAULT, 1)
    assert (first,) == keyring.readable(Purpose.VAULT)
    (tmp_path / "away").rename(rotated.path)
    clock.pass_by(LOOK_MS)
    assert first == keyring.active(Purpose.VAULT)
