"""The long-lived keys."""

import shutil
from pathlib import Path

import pytest

from tallystick.adapters.keys.files import FileKeyring
from tallystick.crypto.signing import EcdsaPrivate
from tallystick.errors import AlreadyExists, Misconfigured
from tallystick.runtime import SystemRandomness
from tallystick.security.ports import Purpose


def create(path: Path) -> FileKeyring:
    return FileKeyring.create(path, SystemRandomness())


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


@pytest.mark.parametrize("name", ["vault.key", "identity.pem"])
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
    shutil.copy(tmp_path / "keys" / "at-rest.key", tmp_path / "keys" / "vault.key")
    with pytest.raises(Misconfigured, match="another key"):
        FileKeyring.load(tmp_path / "keys")


def test_an_identity_key_of_another_kind_stops_the_process(tmp_path: Path) -> None:
    create(tmp_path / "keys")
    (tmp_path / "keys" / "identity.pem").write_bytes(EcdsaPrivate().pem())
    with pytest.raises(Misconfigured, match="no Ed25519"):
        FileKeyring.load(tmp_path / "keys")


def test_no_key_is_printed(tmp_path: Path) -> None:
    assert "key" not in repr(create(tmp_path / "keys")).replace("FileKeyring", "").replace("adapters.keys", "")
