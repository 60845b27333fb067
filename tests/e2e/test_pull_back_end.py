"""A back end that fetches, as a process of its own, against a platform that really serves."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from live_platform import PIN, Live, live_platform, until

from tallystick.adapters.connectors.pull_settings import PullSettings
from tallystick.assembly.facts import CredentialKind
from tallystick.cli import administer, profiles
from tallystick.cli.demo.processes import Child
from tallystick.cli.live_test import live_test
from tallystick.crypto.jose import JweKey
from tallystick.crypto.pin import pin_block_1
from tallystick.secret import Secret
from tallystick.testing.sandbox.record import Entry, effective, read
from tallystick.wire.part import PartContent, PhoneElement, WireOrder

pytestmark = pytest.mark.e2e

VISA = "4242424242424242"
LATE_S = 3.0
SETTLE_TIMEOUT_S = 60.0


class PullBank:
    """A registered back end that fetches, and its sandbox process."""

    def __init__(self, live: Live, institution: str, home: Path) -> None:
        self.live = live
        self.institution = institution
        self.record = home / "pull.jsonl"
        self.child = Child(
            "the sandbox", ["tallystick.testing.sandbox.pull", "--config", str(home / "pull.json")], home / "pull.log"
        )
        self._paid = 0

    def entries(self, amount: int) -> list[Entry]:
        keys = {entry["payment_key"] for entry in read(self.record) if entry.get("amount") == amount}
        return [entry for entry in read(self.record) if entry.get("payment_key") in keys and entry["kind"] != "told"]

    async def pay(self, amount: int) -> str:
        self._paid += 1
        element = PhoneElement(phone=f"+86138002{self._paid:05d}")
        order = WireOrder(payee="Tea House", amount=amount, currency="CNY", reference=f"order {amount}")
        card = {"pan": Secret(VISA), "expiry": Secret("3012")}
        pin = {"pin_block": pin_block_1(Secret(PIN))}
        await self.live.client("pc").send_part(PartContent(policy="card", element=element, fields=card, order=order))
        return (await self.live.client("phone").send_part(PartContent(policy="card", element=element, fields=pin))).part


async def registered(live: Live, home: Path) -> str:
    """Register the back end, and write what its process needs."""
    key, (signing, public) = JweKey.generate("enc-1"), profiles.new_signing_key()
    settings = PullSettings(
        encryption_jwk=key.public_jwk(), accepts=frozenset({CredentialKind.CARD}), visible_s=1.0, patience_s=1.5
    )
    async with live.office() as desk:
        made = await administer.add_institution(
            desk, name="Behind the wall", connector="pull", schemes=frozenset({"visa"}), author="test"
        )
        told: dict[str, Any] = msgspec.to_builtins(settings)
        await administer.set_connector(desk, made.id, told, public.decode())
        address = f"https://localhost:{live.child.port}"
        profile = profiles.write_institution(desk, made.id, home / "pull", address, signing)
    profiles.write_private(home / "pull-jwe.key", key.private_bytes())
    written = {
        "profile": str(profile),
        "encryption_key": str(home / "pull-jwe.key"),
        "encryption_kid": "enc-1",
        "cards": {VISA: {"expiry": "3012", "pin": PIN}},
        "record": str(home / "pull.jsonl"),
        "late_s": LATE_S,
    }
    (home / "pull.json").write_text(json.dumps(written))
    return made.id


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[PullBank]:
    async with live_platform(tmp_path) as live, contextlib.AsyncExitStack() as stack:
        made = PullBank(live, await registered(live, tmp_path), tmp_path)
        stack.push_async_callback(made.child.stop)
        await made.child.start()
        yield made


async def test_it_fetches_decides_and_tells_each_outcome_once(bank: PullBank) -> None:
    parts = {amount: await bank.pay(amount) for amount in (1_250, 1_351, 109_907)}
    outcomes = {amount: await bank.live.outcome(part) for amount, part in parts.items()}
    assert {1_250: "approved", 1_351: "declined", 109_907: "approved"} == outcomes
    for amount, stands in ((1_250, 1), (1_351, 0), (109_907, 1)):
        assert [("verified", stands)] == [(entry["secret"], effective([entry])) for entry in bank.entries(amount)]
    async with bank.live.office() as desk:
        tested, failure = await live_test(desk, bank.institution)
    assert failure is None
    assert ["settings", "sign-on", "echo", "recovery"] == [step.step for step in tested.steps]


async def test_an_outcome_told_late_settles_the_doubt_it_left(bank: PullBank) -> None:
    part = await bank.pay(109_902)
    await until(lambda: bool(bank.entries(109_902)))
    assert "approved" == await settled(bank.live, part)
    assert 1 == effective(bank.entries(109_902))


async def test_what_it_does_not_fetch_waits_until_it_is_back(bank: PullBank) -> None:
    await bank.child.stop()
    part = await bank.pay(1_250)
    status = await bank.live.client("phone").part_status(part)
    assert "accepted" == status.status
    await bank.child.start()
    assert "approved" == await settled(bank.live, part)
    assert 1 == len(bank.entries(1_250))


async def settled(live: Live, part: str) -> str:
    """Wait until the outcome is in no doubt."""
    async with asyncio.timeout(SETTLE_TIMEOUT_S):
        async for status in live.client("phone").part_events(part):
            if status.status not in {"accepted", "unknown"}:
                return status.status
    return "no outcome"
