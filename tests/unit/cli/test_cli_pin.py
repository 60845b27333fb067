"""`tallystick pin`: keys are made, imported and retired; no key is ever shown or written where it should not be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tallystick.crypto import tr31
from tallystick.crypto.tr31_header import BlockVersion, KeyAlgorithm, KeyBlockHeader, KeyUsage, ModeOfUse
from tallystick.sdk.pins import DevicePinKey
from tallystick.secret import Secret
from tallystick.security.pin_text import read_pin_text
from tallystick.testing.clock import SeededRandomness

Run = Callable[..., Result]
Ask = Callable[..., Any]
TRANSPORT = bytes(range(16))
BASE = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")


@pytest.fixture
def channel(ask: Ask) -> str:
    added = ("channel", "add", "app", "--kind", "mobile", "--fields", "pin_block")
    return str(ask(*added, "--profile-out", "app", "--base-url", "https://localhost:1")["id"])


@pytest.fixture
def imported(channel: str, private: Callable[..., str]) -> tuple[str, ...]:
    header = KeyBlockHeader(
        version=BlockVersion.B, usage=KeyUsage.BASE_DERIVATION, algorithm=KeyAlgorithm.TDES, mode=ModeOfUse.DERIVE
    )
    block = private("till.tr31", tr31.wrap(TRANSPORT, header, BASE, SeededRandomness()) + "\n")
    transport = private("kek.hex", TRANSPORT.hex() + "\n")
    return (
        *("pin", "import-key", "till-7", "--channel", channel, "--scheme", "dukpt-tdes"),
        *("--block-file", block, "--transport-file", transport),
    )


def refused(result: Result) -> str:
    assert 1 == result.exit_code, result.output
    return str(json.loads(result.stderr)["error"]["code"])


def test_a_made_key_is_beside_the_profile_and_builds_blocks(ask: Ask, channel: str, tmp_path: Path) -> None:
    made = ask("pin", "make-key", "app-1", "--channel", channel, "--profile", "app")
    text = read_pin_text(DevicePinKey(tmp_path / "app").block(Secret("135790"), "9000000000000002"))
    assert text is not None

    assert ("app-1", channel, "dukpt-aes", "app/pin.json") == (
        *(made["name"], made["channel"], made["scheme"], made["key_file"]),
    )
    assert "app-1" == text.key
    assert 0o600 == (tmp_path / "app" / "pin.json").stat().st_mode & 0o777


def test_keys_are_listed_without_the_keys_and_a_retired_one_keeps_its_name(
    run: Run, ask: Ask, channel: str, imported: tuple[str, ...]
) -> None:
    ask("pin", "make-key", "app-1", "--channel", channel, "--profile", "app")
    ask(*imported)
    ask("pin", "retire", "till-7")
    listed = run("pin", "list", "--json").stdout

    assert [("app-1", True), ("till-7", False)] == [
        (each["name"], each.get("retired_at") is None) for each in json.loads(listed)
    ]
    assert "D0" not in listed
    assert "not_found" == refused(run("pin", "retire", "till-7", "--json"))
    assert "already_exists" == refused(run(*imported, "--json"))


def test_an_imported_key_is_kept_under_another_key_than_it_came_under(
    ask: Ask, imported: tuple[str, ...], platform: Path
) -> None:
    ask(*imported)
    kept = b"".join(path.read_bytes() for path in platform.rglob("*") if path.is_file())

    assert BASE not in kept
    assert BASE.hex().encode() not in kept.lower()


def test_a_key_under_another_transport_key_for_another_use_or_channel_is_refused(
    run: Run, imported: tuple[str, ...], private: Callable[..., str]
) -> None:
    wrong = private("wrong.hex", bytes(range(1, 17)).hex())
    assert "signature_invalid" == refused(run(*imported[:-1], wrong, "--json"))
    fixed = tuple("fixed" if each == "dukpt-tdes" else each for each in imported)
    assert "forbidden" == refused(run(*fixed, "--json"))
    other = tuple("ch_none" if each.startswith("ch_") else each for each in imported)
    assert "not_found" == refused(run(*other, "--json"))
    opened = private("open.hex", TRANSPORT.hex(), 0o644)
    assert 1 == run(*imported[:-1], opened, "--json").exit_code


def test_a_profile_gets_one_key_and_a_name_has_its_form(run: Run, ask: Ask, channel: str) -> None:
    ask("pin", "make-key", "app-1", "--channel", channel, "--profile", "app")

    assert 1 == run("pin", "make-key", "app-2", "--channel", channel, "--profile", "app").exit_code
    assert 2 == run("pin", "make-key", "App;1", "--channel", channel, "--profile", "app").exit_code


def test_a_pin_is_sent_only_with_a_key_and_never_repeated_under_a_key_of_ones_own(
    run: Run,
    channel: str,
) -> None:
    send = ("part", "send", "--profile", "app", "--policy", "card", "--element", "phone=+8613800138000", "--pin")
    without = run(*send, typed="135790\n")
    assert 1 == without.exit_code
    assert "make-key" in without.stderr
    assert "135790" not in without.output
    assert 2 == run(*send, "--idempotency-key", "again", typed="135790\n").exit_code
