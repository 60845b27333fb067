"""Every kind of key is rotated while parts flow over TLS: no request fails; a killed re-wrap loses nothing."""

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from live_platform import Live, enrol, live_platform, until

from tallystick.adapters.keys.files import FileKeyring
from tallystick.adapters.keys.rotation import RETIRED_MS, SETTLE_MS, KeyRotation
from tallystick.adapters.keys.wrapper import PlainFiles
from tallystick.crypto.signing import Ed25519Pins, Ed25519Private, HmacKey, load_public
from tallystick.runtime import Millis, SystemClock, SystemRandomness
from tallystick.sdk.requests import Credentials
from tallystick.secret import Secret
from tallystick.security.ports import Purpose
from tallystick.testing.quick_stretcher import QuickStretcher
from tallystick.vault import users
from tallystick.vault.model import Contact

pytestmark = pytest.mark.e2e

EXECUTABLE = Path(sys.executable).with_name("tallystick")
PAYERS_AT_ONCE = 4
MANY = ("limits", "set", "credential", "100000/1h")  # everybody pays with one card here
PAYERS = 1_500
PASSWORD = Secret("bamboo-kettle-93")
STORED = (Purpose.AT_REST, Purpose.VAULT, Purpose.BLIND_INDEX, Purpose.ACCESS)


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with live_platform(tmp_path) as running:
        async with running.office() as desk:
            await enrol(running, desk, "signed pc", "pan expiry order", Ed25519Private())
        yield running


async def start(live: Live, *arguments: str) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    return await asyncio.create_subprocess_exec(
        EXECUTABLE, "--data", live.data, *arguments, "--json", env=kept, stdout=asyncio.subprocess.PIPE
    )


async def operator(live: Live, *arguments: str) -> Any:
    """Run the command line on the platform's data, in a process of its own."""
    process = await start(live, *arguments)
    said, _ = await process.communicate()
    assert 0 == process.returncode
    return json.loads(said)


class Traffic:
    """Payers who pay one after the other, several at a time, until told to stop."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.outcomes: list[str] = []
        self.failures: list[str] = []
        self._amounts = count(10_000, 10_000)  # no amount by which the bank declines
        self._running = True

    async def flow(self, number: int) -> None:
        while self._running:
            try:
                part = await self.live.pay(next(self._amounts), "signed pc" if number % 2 else "pc")
                self.outcomes.append(await self.live.outcome(part))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a request that failed
                self.failures.append(f"{number} {type(error).__name__}: {error}")

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator["Traffic"]:
        tasks = [asyncio.create_task(self.flow(number)) for number in range(PAYERS_AT_ONCE)]
        try:
            yield self
        finally:
            self._running = False
            await asyncio.gather(*tasks)

    async def more(self, payments: int = 4) -> None:
        """Wait until so many more payments came to their end."""
        enough = len(self.outcomes) + payments
        await until(lambda: len(self.outcomes) >= enough or bool(self.failures))


def pin_both(live: Live, following: Path) -> None:
    """Give every client the next identity key beside the present one, as its operator does."""
    new = load_public(following.read_bytes())
    assert not isinstance(new, Ed25519Private)
    for name, profile in live.profiles.items():
        pins = Ed25519Pins(*profile.identity.keys, new)  # type: ignore[arg-type]  # the platform's is Ed25519
        live.profiles[name] = type(profile)(**{**fields_of(profile), "identity": pins})


def fields_of(profile: Any) -> dict[str, Any]:
    return {name: getattr(profile, name) for name in profile.__dataclass_fields__}


async def test_no_request_fails_while_every_kind_of_key_is_rotated(live: Live) -> None:
    async with live.office() as desk:
        user = await users.register(
            desk.store,
            desk.keyring,
            desk.stretcher,
            desk.clock,
            desk.randomness,
            username="payer",
            password=PASSWORD,
            contact=Contact(email="payer@example.org"),
        )
    shop = live.profiles["pc"].credentials.sender
    endpoint = await operator(
        live, "webhook", "add", shop, "https://localhost:1/x", "--secret-out", str(live.home / "w")
    )
    async with Traffic(live).flowing() as traffic:
        await traffic.more()
        for purpose in STORED:
            await operator(live, "keys", "rotate", purpose.value)
            await traffic.more()
        await operator(live, "keys", "rotate-opening")
        await operator(live, "webhook", "rotate", endpoint["id"], "--secret-out", str(live.home / "w2"))
        following = live.home / "next.pem"
        await operator(live, "keys", "rotate", "identity", "--prepare", "--public-out", str(following))
        pin_both(live, following)
        old_clients = dict(live.clients)
        live.clients.clear()  # from here on clients pin both; those in flight end with the old ones
        await traffic.more(PAYERS_AT_ONCE)
        await operator(live, "keys", "rotate", "identity")
        await traffic.more()
        await operator(live, "keys", "rotate-channel", shop, "--mac-key-out", str(live.home / "mac"))
        await traffic.more()
        key = HmacKey(bytes.fromhex((live.home / "mac").read_text()))
        live.profiles["pc"] = type(live.profiles["pc"])(
            **{**fields_of(live.profiles["pc"]), "credentials": Credentials(shop, key)}
        )
        earlier = dict(live.clients)
        live.clients.clear()
        await traffic.more()
        await operator(live, "keys", "rewrap")
        await operator(live, *MANY)  # the limits' MAC is made anew when they are set
        destroy_old(live)
        await traffic.more()
    for client in {*old_clients.values(), *earlier.values()}:
        await client.close()
    assert [] == traffic.failures
    assert {"approved"} == set(traffic.outcomes)
    states = {each["id"]: (each["state"], each["records"]) for each in await operator(live, "keys", "status")}
    assert {("destroyed", 0)} == {states[f"{purpose.value}-1"] for purpose in STORED}
    async with live.office() as desk:
        verified = await users.verify(
            desk.store, desk.keyring, desk.stretcher, desk.clock, username="payer", password=PASSWORD
        )
    assert user == verified.user_id


def destroy_old(live: Live) -> None:
    """Destroy the first key of each purpose, as if the minute it must wait had passed."""
    rotation = KeyRotation(live.data / "keys", PlainFiles(), SystemRandomness())
    for purpose in STORED:
        rotation.destroy(purpose, 1, Millis(SystemClock().now() + RETIRED_MS))


async def test_a_re_wrap_that_is_killed_goes_on_and_loses_nothing(live: Live) -> None:
    await live.child.stop()
    async with live.office() as desk:
        names = [f"payer-{number}" for number in range(PAYERS)]
        quick = QuickStretcher()
        await asyncio.gather(
            *(
                users.register(
                    desk.store,
                    desk.keyring,
                    quick,
                    desk.clock,
                    desk.randomness,
                    username=name,
                    password=PASSWORD,
                    contact=Contact(email=f"{name}@example.org"),
                )
                for name in names
            )
        )
    rotation, now = KeyRotation(live.data / "keys", PlainFiles(), SystemRandomness()), SystemClock().now()
    for purpose in (Purpose.VAULT, Purpose.BLIND_INDEX):
        rotation.prepare(purpose, Millis(now - SETTLE_MS))
        rotation.activate(purpose, now)
    process = await start(live, "keys", "rewrap")
    await until(lambda: changed(live) > 0)
    process.kill()
    await process.wait()
    assert 0 < changed(live) < PAYERS
    [done] = [each for each in await operator(live, "keys", "rewrap") if each["kind"] == "payer"]
    assert (PAYERS, PAYERS, 0) == (done["looked"], done["changed"], done["damaged"])
    for purpose in (Purpose.VAULT, Purpose.BLIND_INDEX):
        rotation.destroy(purpose, 1, Millis(SystemClock().now() + RETIRED_MS))
    assert all(len(FileKeyring.load(live.data / "keys").readable(purpose)) == 1 for purpose in Purpose)
    async with live.office() as desk:
        for name in names[::100]:
            await users.verify(desk.store, desk.keyring, quick, desk.clock, username=name, password=PASSWORD)


def changed(live: Live) -> int:
    with contextlib.closing(sqlite3.connect(live.data / "store.db")) as db:
        found = db.execute("SELECT changed FROM rewrap WHERE kind = 'payer'").fetchone()
    return 0 if found is None else int(found[0])
