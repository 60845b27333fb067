"""`tallystick hsm`, and key files under a token's key."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from softhsm import LABEL, PIN, SoftToken

Run = Callable[..., Result]
Ask = Callable[..., Any]
LABELS = (f"platform-{number}" for number in itertools.count(1))


@pytest.fixture
def token_key(soft_token: SoftToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name token and PIN in the environment, as a service manager does, and a key that is not there yet."""
    pin = tmp_path / "pin"
    pin.touch(0o600)
    pin.write_text(f"{PIN}\n")
    label = next(LABELS)
    for name, value in {"MODULE": soft_token.module, "TOKEN": LABEL, "KEY": label, "PIN_FILE": str(pin)}.items():
        monkeypatch.setenv(f"TALLYSTICK_KEYS__{name}", value)
    return label


def key_bytes(platform: Path) -> list[bytes]:
    return [path.read_bytes() for path in (platform / "keys").iterdir()]


def test_protected_keys_open_with_the_token_only(
    ask: Ask, run: Run, platform: Path, token_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ask("hsm", "create-key")
    assert {"token": LABEL, "key": token_key, "check": made["check"], "made_here": True, "in_use": False} == made
    told = ask("keys", "protect", "--with", "pkcs11")
    assert len(key_bytes(platform)) == told["files"]
    assert not any(b"purpose" in content for content in key_bytes(platform))
    assert 1 == run("channel", "list").exit_code
    monkeypatch.setenv("TALLYSTICK_KEYS__PROVIDER", "pkcs11")
    assert [] == ask("channel", "list")
    begun = [(each["outcome"], each["subjects"]) for each in ask("audit", "tail") if each["action"] == "keys.changed"]
    assert [("token-key", [token_key]), ("protect", ["pkcs11"])] == begun
    assert {**made, "in_use": True} == ask("hsm", "status")


def test_a_platform_is_made_under_a_token_from_the_first(
    run: Run, tmp_path: Path, token_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSTICK_KEYS__PROVIDER", "pkcs11")
    assert f"no key {token_key}: tallystick hsm create-key" in run("init", "--port", "0").output
    assert not (tmp_path / "data").exists()
    assert 0 == run("hsm", "create-key").exit_code
    assert 0 == run("init", "--port", "0").exit_code
    assert not any(b"purpose" in content for content in key_bytes(tmp_path / "data"))
    assert 0 == run("channel", "list").exit_code


def test_the_keys_go_over_to_a_new_key_of_the_token(
    run: Run, ask: Ask, platform: Path, token_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask("hsm", "create-key")
    ask("keys", "protect", "--with", "pkcs11")
    monkeypatch.setenv("TALLYSTICK_KEYS__PROVIDER", "pkcs11")
    new = next(LABELS)
    refused = run("keys", "protect", "--with", "pkcs11", "--token-key", new)
    assert f"no key {new}" in refused.output
    assert [] == ask("channel", "list")
    ask("hsm", "create-key", "--label", new)
    assert len(key_bytes(platform)) == ask("keys", "protect", "--with", "pkcs11", "--token-key", new)["files"]
    assert "under another key of the token" in run("channel", "list").output
    monkeypatch.setenv("TALLYSTICK_KEYS__KEY", new)
    assert [] == ask("channel", "list")


def test_a_wrong_pin_is_told_without_its_value(
    run: Run, platform: Path, token_key: str, soft_token: SoftToken, tmp_path: Path
) -> None:
    soft_token.log_out()
    (tmp_path / "pin").write_text("24681357")
    refused = run("hsm", "status")
    assert 1 == refused.exit_code
    assert "refused the PIN" in refused.output
    assert "24681357" not in refused.output


@pytest.mark.parametrize(
    ("variable", "told"), [("TOKEN", "Set module and token"), ("PIN_FILE", "TALLYSTICK_KEYS__PIN_FILE")]
)
def test_a_missing_setting_is_named(
    run: Run, platform: Path, token_key: str, variable: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"TALLYSTICK_KEYS__{variable}")
    assert told in run("hsm", "status").output


def test_a_pin_never_stands_in_the_settings(run: Run, platform: Path) -> None:
    with (platform / "tallystick.toml").open("a") as settings:
        settings.write(f'\n[keys]\npin = "{PIN}"\n')
    refused = run("hsm", "status")
    assert "keys.pin is a secret" in refused.output
    assert PIN not in refused.output


def test_without_the_optional_dependency_the_remedy_is_named(
    run: Run, platform: Path, token_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "tallystick.adapters.keys.pkcs11")
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    refused = run("hsm", "status")
    assert 1 == refused.exit_code
    assert "tallystick[hsm]" in refused.output
