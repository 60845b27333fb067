"""Key files under custodians' key."""

from pathlib import Path

import pytest

from tallystick.adapters.keys.custodians import MAGIC, CustodianWrapper
from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.crypto.key_shares import split
from tallystick.errors import Misconfigured
from tallystick.secret import Secret

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def shares(key: bytes, *, rehearsal: bool = False) -> Secret:
    return Secret("\n".join(share.text().reveal() for share in split(key, 2, 3, bytes(8), rehearsal=rehearsal)[1:]))


@pytest.fixture
def wrapper() -> CustodianWrapper:
    return CustodianWrapper.of(shares(KEY))


def test_files_open_with_enough_shares_in_their_own_place_only(wrapper: CustodianWrapper, tmp_path: Path) -> None:
    with KeyDirectory(tmp_path / "keys", write=True, wrapper=wrapper) as files:
        files.create("vault-1.key", b"thirty-two bytes of a vault key!")
        files.create("identity-1.key", b"another")
        assert b"thirty-two bytes of a vault key!" == files.read("vault-1.key")
        stored = (tmp_path / "keys" / "vault-1.key").read_bytes()
        assert b"vault key" not in stored
        (tmp_path / "keys" / "identity-1.key").write_bytes(stored)
        with pytest.raises(Misconfigured, match="damaged or moved"):
            files.read("identity-1.key")


def test_the_shares_of_another_ceremony_are_told_by_check_value(wrapper: CustodianWrapper) -> None:
    other = CustodianWrapper.of(shares(OTHER))
    with pytest.raises(Misconfigured, match=f"{wrapper.check}, the shares give {other.check}"):
        other.unwrap(wrapper.wrap(b"content", b"context"), b"context")


def test_a_rehearsal_protects_nothing() -> None:
    with pytest.raises(Misconfigured, match="rehearsal"):
        CustodianWrapper.of(shares(KEY, rehearsal=True))


def test_what_is_sealed_is_never_sealed_again(wrapper: CustodianWrapper) -> None:
    with pytest.raises(Misconfigured, match="already"):
        wrapper.wrap(wrapper.wrap(b"content", b""), b"")


@pytest.mark.parametrize("at", [8, 12, 13, 30, -1])
def test_altered_files_do_not_open(wrapper: CustodianWrapper, at: int) -> None:
    sealed = bytearray(wrapper.wrap(b"content", b"context"))
    sealed[at] ^= 1
    with pytest.raises(Misconfigured):
        wrapper.unwrap(bytes(sealed), b"context")


@pytest.mark.parametrize("wrapped", [b"", b'{"key": 1}', MAGIC, MAGIC + bytes(4)])
def test_a_plain_or_damaged_file_is_not_believed(wrapper: CustodianWrapper, wrapped: bytes) -> None:
    with pytest.raises(Misconfigured, match="not under"):
        wrapper.unwrap(wrapped, b"context")
