"""Modes, owners and leftovers in the data directory."""

from collections.abc import Callable
from pathlib import Path

import pytest

Fault = Callable[..., str | None]


@pytest.mark.parametrize("check", ["directories", "private files", "path to the data", "copies"])
def test_a_new_platform_is_closed_and_tidy(fault: Fault, check: str) -> None:
    assert fault(check) is None


@pytest.mark.parametrize(
    ("place", "check", "said"),
    [
        ("epochs", "directories", "epochs is open to others"),
        ("tls/platform.key", "private files", "platform.key is open to others"),
        ("ca/issuing.key", "private files", "issuing.key is open to others"),
    ],
)
def test_what_others_may_read_is_named(fault: Fault, platform: Path, place: str, check: str, said: str) -> None:
    path = platform / place
    path.chmod(path.stat().st_mode | 0o004)
    assert said == fault(check)


def test_a_link_in_the_place_of_a_key_is_named(fault: Fault, platform: Path) -> None:
    key = platform / "tls" / "platform.key"
    key.rename(platform / "elsewhere.key")
    key.symlink_to(platform / "elsewhere.key")
    assert "platform.key is a link" == fault("private files")


def test_a_directory_above_that_others_may_change_is_named(fault: Fault, platform: Path) -> None:
    platform.parent.chmod(0o777)
    assert f"a directory above the data may be changed by others: {platform.parent.name}" == fault("path to the data")
    platform.parent.chmod(0o1777)
    assert fault("path to the data") is None


@pytest.mark.parametrize(
    "name",
    [
        "store.db.bak",
        "store.db-copy",
        "keys/vault.key~",
        "keys/vault.key.2",
        "keys/.unfinished-0a1b",
        "ca/.root.key.4711",
        "backup.tar.gz",
        "core.4711",
    ],
)
def test_a_copy_is_named(fault: Fault, platform: Path, name: str) -> None:
    (platform / name).touch(0o600)
    assert f"copies lie around: {name}" == fault("copies")


def test_the_log_of_an_open_store_is_no_copy_and_many_copies_are_counted(fault: Fault, platform: Path) -> None:
    for name in ("store.db-wal", "store.db-shm"):
        (platform / name).touch(0o600)
    assert fault("copies") is None
    for number in range(7):
        (platform / f"{number}.bak").touch()
    assert str(fault("copies")).endswith("4.bak and 2 more")
