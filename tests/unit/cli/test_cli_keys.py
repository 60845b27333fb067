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


def ids(ask: Ask) -> dict[str, dict[str, Any]]:
    return {key["id"]: key for key in ask("keys", "status")}


def test_the_status_of_a_new_platform_shows_one_active_key_for_each_purpose(ask: Ask, run: Run) -> None:
    ask("channel", "add", "shop", "--kind", "merchant", "--fields", "pan", "--mac-key-out", "mac")
    found = ids(ask)
    assert {"at-rest-1", "vault-1", "blind-index-1", "access-1", "identity-1"} <= found.keys()
    assert {"active"} == {key["state"] for key in found.values()}
    assert (1, 0) == (found["at-rest-1"]["records"], found["vault-1"]["records"])
    assert (0, 364) == (found["vault-1"]["age_days"], found["vault-1"]["days_left"])
    assert "vault-1" in run("keys", "status").output


def test_a_key_is_rotated_its_records_sealed_anew_and_destroyed_only_then(
    ask: Ask, run: Run, platform: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = ask("channel", "add", "shop", "--kind", "merchant", "--fields", "pan", "--mac-key-out", "mac")
    assert ("at-rest-2", "active") == ((made := ask("keys", "rotate", "at-rest"))["id"], made["state"])
    assert ("verify-only", 1) == ((old := ids(ask)["at-rest-1"])["state"], old["records"])
    monkeypatch.setattr("tallystick.adapters.keys.rotation.RETIRED_MS", 0)
    refused = run("keys", "destroy", "at-rest", "1")
    assert 1 == refused.exit_code
    assert "1 stored values are under at-rest-1: channel" in refused.stderr
    assert {("channel", 1, 1, 0)} <= {
        (each["kind"], each["looked"], each["changed"], each["damaged"]) for each in ask("keys", "rewrap")
    }
    assert "destroyed" == ask("keys", "destroy", "at-rest", "1")["state"]
    assert not (platform / "keys" / "at-rest-1.key").exists()
    begun = [(each["outcome"], each["subjects"]) for each in ask("audit", "tail") if each["action"] == "keys.changed"]
    assert [("rotate", ["at-rest"]), ("destroy", ["at-rest"])] == begun
    assert 0 == run("doctor").exit_code
    assert channel["id"] == ask("channel", "list")[0]["id"]
    again = run("keys", "destroy", "at-rest", "2")
    assert "at-rest-2: channel" in again.stderr


def test_the_identity_key_is_rotated_only_after_its_public_half_was_handed_out(
    ask: Ask, run: Run, tmp_path: Path
) -> None:
    refused = run("keys", "rotate", "identity")
    assert 1 == refused.exit_code
    assert "--prepare" in refused.stderr
    assert 2 == run("keys", "rotate", "identity", "--prepare").exit_code
    assert "pending" == ask("keys", "rotate", "identity", "--prepare", "--public-out", "next.pem")["state"]
    assert (tmp_path / "next.pem").read_text().startswith("-----BEGIN PUBLIC KEY-----")
    assert ("identity-2", "active") == ((made := ask("keys", "rotate", "identity"))["id"], made["state"])


def test_a_channel_gets_a_new_mac_key_beside_its_old_one(ask: Ask, run: Run, tmp_path: Path) -> None:
    channel = ask("channel", "add", "shop", "--kind", "merchant", "--fields", "pan", "--mac-key-out", "mac")
    made = ask("keys", "rotate-channel", channel["id"], "--mac-key-out", "mac-2", "--overlap", "1h")
    keys = [(tmp_path / name).read_text() for name in ("mac", "mac-2")]
    assert keys[0] != keys[1]
    assert (64, 0o600) == (len(keys[1]), (tmp_path / "mac-2").stat().st_mode & 0o777)
    assert channel["id"] == made["channel"]
    assert keys[1] not in run("keys", "status").output
