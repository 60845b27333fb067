"""Records that wait for a person, or were made under older rules."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.checks.model import Scene
from tallystick.crypto.ca import DAY_MS
from tallystick.runtime import Millis, SystemClock
from tallystick.testing.clock import VirtualClock

Fault = Callable[..., str | None]
MANUAL = """
  INSERT INTO payment (id, policy, element_kind, element_digest, claimed, opened_at, expires_at, state, fate, contested,
    allowed, updated_at)
  VALUES ('pay_1', 'card', 'code', x'00', 1, 1, 1, 'manual', 'joined', 0, '[]', 1)
"""
DEAD = """
  INSERT INTO webhook (id, seq, endpoint_id, subject, type, body, first_at, due_at, state, tries, last)
  VALUES ('msg_1', 1, 'we_1', 'pay_1', 'payment.approved', x'7b7d', 1, 1, 'dead', 9, '500')
"""
PAYER = """
  INSERT INTO payer (id, name_digest, salt, kdf, verifier, wrapped_key, sealed_contact, created_at)
  VALUES ('usr_1', x'00', x'00', 'argon2id$v=19$m=1024,t=1,p=1', x'00', x'00', x'00', 1)
"""


def test_a_channel_that_sends_pins_without_a_key_is_told_until_it_has_one(
    fault: Fault, ask: Callable[..., Any], tmp_path: Path
) -> None:
    assert fault("PIN keys") is None
    added = ("channel", "add", "app", "--kind", "mobile", "--fields", "pin_block")
    channel = ask(*added, "--profile-out", "app", "--base-url", "https://localhost:1")["id"]
    assert "the channel app sends PINs without a PIN key" == fault("PIN keys")
    ask("pin", "make-key", "app-1", "--channel", channel, "--profile", str(tmp_path / "app"))
    assert fault("PIN keys") is None
    ask("pin", "retire", "app-1")
    assert "the channel app sends PINs without a PIN key" == fault("PIN keys")


@pytest.mark.parametrize("check", ["password parameters", "channel MAC keys", "manual payments", "dead webhooks"])
def test_nothing_waits_in_a_new_platform(fault: Fault, check: str) -> None:
    assert fault(check) is None


@pytest.mark.parametrize(
    ("row", "check", "said"),
    [
        (MANUAL, "manual payments", "1 payments wait for a person"),
        (DEAD, "dead webhooks", "1 webhooks were given up"),
        (PAYER, "password parameters", "1 passwords are stretched with older parameters"),
    ],
)
def test_what_waits_is_counted(fault: Fault, platform: Path, row: str, check: str, said: str) -> None:
    with closing(sqlite3.connect(platform / "store.db")) as db, db:
        db.execute(row)
    assert said == fault(check)


def test_a_mac_key_of_a_channel_that_serves_longer_than_a_year_is_told(
    fault: Fault, ask: Callable[..., Any], scene: Scene
) -> None:
    ask("channel", "add", "shop", "--kind", "merchant", "--fields", "pan", "--mac-key-out", "shop.key")
    assert fault("channel MAC keys") is None
    next_year = VirtualClock(Millis(SystemClock().now() + 366 * DAY_MS))
    assert "the MAC key of shop is older" == fault("channel MAC keys", at=replace(scene, clock=next_year))
