"""`tallystick keys`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]
Ask = Callable[..., Any]
PASSPHRASE = "correct horse battery staple nine"  # of this test's platform


@pytest.fixture
def passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "passphrase"
    path.touch(0o600)
    path.write_text(f"{PASSPHRASE}\n")
    return path


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch, passphrase: Path) -> Callable[[], None]:
    """Name provider and passphrase in the environment, as a service manager does."""

    def use() -> None:
        monkeypatch.setenv("TALLYSTICK_KEYS__PROVIDER", "sealed-file")
        monkeypatch.setenv("TALLYSTICK_KEYS__PASSPHRASE_FILE", str(passphrase))

    return use


def key_bytes(platform: Path) -> list[bytes]:
    return [path.read_bytes() for path in (platform / "keys").iterdir()]


def test_protected_keys_open_with_the_passphrase_only(
    ask: Ask, run: Run, platform: Path, passphrase: Path, sealed: Callable[[], None]
) -> None:
    channel = ask("channel", "add", "shop", "--kind", "merchant", "--fields", "pan", "--mac-key-out", "mac")
    told = ask("keys", "protect", "--passphrase-file", str(passphrase))
    assert len(key_bytes(platform)) == told["files"]
    assert not any(b"purpose" in content for content in key_bytes(platform))
    refused = run("channel", "list")
    assert 1 == refused.exit_code
    sealed()
    assert [channel["id"]] == [each["id"] for each in ask("channel", "list")]
    assert PASSPHRASE not in refused.output


def test_a_platform_is_made_with_sealed_keys_from_the_first(
    run: Run, tmp_path: Path, sealed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed()
    assert 0 == run("init", "--port", "0").exit_code
    assert not any(b"purpose" in content for content in key_bytes(tmp_path / "data"))
    assert 0 == run("channel", "list").exit_code
    monkeypatch.delenv("TALLYSTICK_KEYS__PASSPHRASE_FILE")
    refused = run("channel", "list", "--json")
    assert 1 == refused.exit_code
    assert "TALLYSTICK_KEYS__PASSPHRASE_FILE" in refused.stderr


def test_a_passphrase_never_stands_in_the_settings(run: Run, platform: Path) -> None:
    with (platform / "tallystick.toml").open("a") as settings:
        settings.write(f'\n[keys]\npassphrase = "{PASSPHRASE}"\n')
    refused = run("keys", "protect")
    assert "keys.passphrase is a secret" in refused.output
    assert PASSPHRASE not in refused.output


def test_a_short_passphrase_is_refused_and_changes_nothing(run: Run, platform: Path, passphrase: Path) -> None:
    before = sorted(key_bytes(platform))
    passphrase.write_text("short")
    assert 1 == run("keys", "protect", "--passphrase-file", str(passphrase)).exit_code
    assert before == sorted(key_bytes(platform))
    assert not (platform / "wrapping.next.json").exists()
