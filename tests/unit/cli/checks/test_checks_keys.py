"""Strength and age of keys."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tallystick.adapters.keys.epochs import FileEpochKeys
from tallystick.adapters.keys.files import FileKeyring
from tallystick.adapters.keys.opening import FileOpeningKeys
from tallystick.cli.checks.keys import OPENING_KEPT_MS
from tallystick.cli.checks.published import DEFAULT_WORDS, is_default, is_published
from tallystick.cli.demo import world
from tallystick.runtime import Millis, SystemClock, SystemRandomness

Fault = Callable[..., str | None]
PutKey = Callable[[str, bytes], None]
HOUR_MS = 3_600_000


@pytest.mark.parametrize("check", ["keys", "key strength", "at-rest keys of parts", "part-opening keys"])
def test_keys_of_a_new_platform_are_well(fault: Fault, check: str) -> None:
    assert fault(check) is None


def test_a_regular_key_and_one_key_for_two_purposes_are_named(fault: Fault, platform: Path, put_key: PutKey) -> None:
    put_key("vault", bytes(range(32)))
    assert "the key vault is a published or regular one" == fault("key strength")
    keys = {name: json.loads((platform / "keys" / f"{name}-1.key").read_text()) for name in ("at-rest", "blind-index")}
    put_key("vault", msgspec.convert(keys["at-rest"]["key"], bytes))
    assert "one key serves two purposes" == fault("key strength")


def test_a_weak_private_key_is_named(fault: Fault, platform: Path) -> None:
    weak = rsa.generate_private_key(65537, 1024).private_bytes(  # noqa: S505 - the fault to find
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (platform / "tls" / "platform.key").write_bytes(weak)
    assert str(fault("key strength")).startswith("platform.key is too weak")


def test_the_root_key_is_missed_until_it_is_offline(fault: Fault, platform: Path) -> None:
    assert str(fault("root key")).startswith("ca/root.key is on this machine")
    (platform / "ca" / "root.key").unlink()
    assert fault("root key") is None


@pytest.mark.parametrize(("directory", "hours"), [("epochs", 1), ("recovery", 26)])
def test_an_at_rest_key_that_outlived_its_epoch_is_counted(
    fault: Fault, platform: Path, directory: str, hours: int
) -> None:
    now = SystemClock().now()
    keys = FileEpochKeys(platform / directory, SystemRandomness())
    keys.current(now)
    assert fault("at-rest keys of parts") is None
    keys.current(Millis(now - hours * HOUR_MS))
    keys.close()
    assert f"1 keys in {directory}/ are older than their life" == fault("at-rest keys of parts")


def test_part_opening_keys_that_nothing_rotates_are_counted(fault: Fault, platform: Path) -> None:
    now = SystemClock().now()
    identity = FileKeyring.load(platform / "keys").identity
    keys = FileOpeningKeys(platform / "opening", lambda: identity)
    keys.rotate(Millis(now - OPENING_KEPT_MS - HOUR_MS))
    assert "3 of 3 part-opening keys are older than their life: nothing rotates them" == fault("part-opening keys")
    keys.rotate(now)
    keys.close()
    assert fault("part-opening keys") is None


def test_a_damaged_part_opening_key_is_named(fault: Fault, platform: Path) -> None:
    key = platform / "opening" / "pk_1"
    key.touch(0o600)
    key.write_text("{}")
    assert "the opening key is damaged: pk_1" == fault("part-opening keys")


@pytest.mark.parametrize(
    "key",
    [
        "2b7e151628aed2a6abf7158809cf4f3c",
        "0123456789abcdeffedcba9876543210",
        "0123456789abcdef0123456789abcdef",
        "000102030405060708090a0b0c0d0e0f",
        "41" * 16,
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb",
        "00" * 32,
    ],
)
def test_keys_of_standards_and_keys_that_somebody_typed_are_known(key: str) -> None:
    assert is_published(bytes.fromhex(key))


def test_random_keys_and_own_passwords_pass_and_the_demo_s_does_not() -> None:
    randomness = SystemRandomness()
    assert not any(is_published(randomness.token(16)) for _ in range(1_000))
    assert not is_default("Kq7-wharf-oblong")
    assert is_default(f" {world.PASSWORD.upper()} ")
    assert all(word == word.casefold() for word in DEFAULT_WORDS)
