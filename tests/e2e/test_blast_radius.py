"""`tallystick blast-radius` on the platform of a real demo: what each theft gives, computed from its own record."""

import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from watched_demo import SEALED, DemoRun

pytestmark = pytest.mark.e2e

EXECUTABLE = Path(sys.executable).with_name("tallystick")


def radius(demo_run: DemoRun, *stolen: str) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 - ours
        [EXECUTABLE, "--data", demo_run.data, "blast-radius", "--json", *stolen],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(demo_run: DemoRun, query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(f"file:{demo_run.data / 'store.db'}?mode=ro", uri=True)) as db:
        return list(db.execute(query))


def test_no_single_channel_of_the_demo_gives_a_usable_credential_from_whenever_it_was_stolen(demo_run: DemoRun) -> None:
    channels = [channel for (channel,) in rows(demo_run, "SELECT DISTINCT channel_id FROM part")]
    assert len(channels) >= 2
    for channel in channels:
        found = radius(demo_run, "--channel", channel, "--at", "0")
        parts = rows(demo_run, "SELECT channel_id, payment_id FROM part")
        carried = {payment for carrier, payment in parts if carrier == channel}
        assert 0 == found["usable"]
        assert carried >= {each["payment"] for each in found["credentials"]}
        assert found["credentials"]


def test_the_store_alone_gives_nothing_and_with_its_epoch_keys_exactly_the_halves_that_wait(demo_run: DemoRun) -> None:
    assert (0, 0) == (radius(demo_run, "--database")["usable"], radius(demo_run, "--database")["halves"])
    assert 0 == radius(demo_run, "--key", "epochs")["halves"]

    waiting = {part for part, _, _ in rows(demo_run, SEALED)}
    payments = {p for part, p in rows(demo_run, "SELECT id, payment_id FROM part") if part in waiting}
    kept = {payment for (payment,) in rows(demo_run, "SELECT payment_id FROM intent WHERE account IS NOT NULL")}
    found = radius(demo_run, "--database", "--key", "epochs")
    assert payments | kept == {each["payment"] for each in found["credentials"]}
    assert payments


def test_the_node_gives_what_is_in_flight_and_says_what_stays_behind_passwords(demo_run: DemoRun) -> None:
    found = radius(demo_run, "--node", "main")
    assert radius(demo_run, "--database", "--key", "epochs")["credentials"] == found["credentials"]
    assert "behind that payer's password" in found["besides"][0]


def test_what_nobody_has_cannot_be_stolen(demo_run: DemoRun) -> None:
    for stolen in (("--channel", "ch_none"), ("--key", "none"), ()):
        done = subprocess.run(  # noqa: S603 - ours
            [EXECUTABLE, "--data", demo_run.data, "blast-radius", *stolen], capture_output=True, timeout=60, check=False
        )
        assert done.returncode in {1, 2}
