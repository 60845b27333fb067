"""A platform that really serves, as a process on a real SQLite file; its bank is a sandbox in this process."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallystick import config
from tallystick.assembly.facts import FINAL_STATES
from tallystick.assembly.model import Payment
from tallystick.bootstrap.layout import create
from tallystick.bootstrap.office import Office, office
from tallystick.channels import limiting
from tallystick.channels.admit import CHANNEL_URI, INSTITUTION_URI
from tallystick.channels.model import ChannelKind, LimitKind
from tallystick.cli import administer, profiles
from tallystick.cli.demo.processes import Child
from tallystick.crypto import x509
from tallystick.crypto.pin import pin_block_1
from tallystick.crypto.signing import EcdsaPrivate, Ed25519Private
from tallystick.delivery.model import Intent
from tallystick.routing.model import BackEnd
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.settings import Profile, ProfileFile, load_profile
from tallystick.secret import Secret
from tallystick.security.access_keys import KeyringAccess
from tallystick.testing.sandbox import record
from tallystick.testing.sandbox.record import Entry
from tallystick.testing.sandbox.unionpay import UnionPaySandbox
from tallystick.testing.sandbox.unionpay_config import Card, SandboxConfig
from tallystick.wire.part import PartContent, PhoneElement, WireOrder

CARD, EXPIRY, PIN = "6250947000000014", "3012", "135790"
LONG_PIN_CARD, LONG_PIN = "6250947000000022", "839271640517"  # twelve digits, found by no accident in a memory
CHANNELS = {"pc": "pan expiry order", "phone": "pin_block"}
SETTINGS = '[gateway]\nhost = "127.0.0.1"\nport = 0\n'
LATER = "https://localhost:1"  # the address in a profile, until the platform has a port
SETTLE_TIMEOUT_S = 60.0  # longer than the lease of a reversal that a kill cut off
SLOW = 9_902  # the last digits of an amount whose answer comes late

PHONES: Iterator[str] = (f"+86139001{number:05d}" for number in range(10_000, 99_999))


@dataclass
class Live:
    """One platform with its bank; `start` and `kill` as often as needed, on the same data."""

    home: Path
    sandbox: UnionPaySandbox
    bank: BackEnd
    child: Child
    environ: Mapping[str, str] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    clients: dict[str, TallystickClient] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> str:
        return (self.home / "platform.log").read_text()

    async def start(self) -> None:
        """Serve, on a new port: clients are made anew."""
        await self.disconnect()
        await self.child.start()

    async def kill(self) -> None:
        await self.child.kill()

    @property
    def pid(self) -> int:
        """Return the process that was started: the one that serves, or with several workers their supervisor."""
        process = self.child._process
        assert process is not None
        return process.pid

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Tell that process something."""
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait for its end; returns its exit code."""
        process = self.child._process
        assert process is not None
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            return await process.wait()

    def workers(self) -> list[int]:
        """Return the processes of the workers, oldest first; only with `workers` above one."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    async def disconnect(self) -> None:
        while self.clients:
            await self.clients.popitem()[1].close()

    def client(self, name: str, **changes: Any) -> TallystickClient:
        """Return the client of a profile, with some of it replaced."""
        key = f"{name} {changes}"
        if key not in self.clients:
            profile = replace(self.profiles[name], base_url=f"https://localhost:{self.child.port}", **changes)
            self.clients[key] = TallystickClient.connect(profile)
        return self.clients[key]

    @contextlib.asynccontextmanager
    async def office(self) -> AsyncIterator[Office]:
        async with office(self.data, config.load(self.data, self.environ)) as desk:
            yield desk

    async def pay(self, amount: int, card: str = "pc", pin: str = "phone", **changes: Any) -> str:
        """Send both parts of a payment; returns the second part's id once both are acknowledged."""
        first, second = a_payment(amount)
        await self.client(card, **changes).send_part(first)
        return (await self.client(pin, **changes).send_part(second)).part

    async def outcome(self, part: str, channel: str = "phone") -> str:
        """Wait for a part's final state, as its sender sees it."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while time.monotonic() < deadline:
            status = await self.client(channel).part_status(part)
            if status.status not in {"accepted", "unknown"}:
                return status.status
            await asyncio.sleep(0.05)
        return "no final state"

    async def payments(self) -> dict[int, list[tuple[Payment, list[Intent]]]]:
        """Read every payment with its intents from the store, by amount."""
        async with self.office() as desk:
            return await desk.store.read(read_payments)

    async def settled(self) -> dict[int, list[tuple[Payment, list[Intent]]]]:
        """Wait until every payment has its final state; after the time-out return what there is."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            found = await self.payments()
            states = [payment.state for each in found.values() for payment, _ in each]
            if FINAL_STATES.issuperset(states) or time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.2)

    def asked(self, amount: int) -> list[bool]:
        """Return, for each authorisation the bank was asked for of an amount, whether it was effective."""
        return [bool(entry["effective"]) for entry in self._recorded(amount) if entry["kind"] == "0200"]

    def effective(self, amount: int) -> int:
        """Count the authorisations of an amount that the bank holds for effective: those reversed no longer count."""
        return record.effective(self._recorded(amount))

    def _recorded(self, amount: int) -> list[Entry]:
        return [entry for entry in self.sandbox.record.entries if entry.get("amount") == amount]


def memory(pid: int) -> bytes:
    """Read all writable memory of a process; skips where the machine forbids it."""
    held = []
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                where, permissions = line.split()[:2]
                begin, end = (int(edge, 16) for edge in where.split("-"))
                if permissions.startswith("rw") and "[v" not in line:
                    file.seek(begin)
                    held.append(file.read(end - begin))
    except PermissionError:
        pytest.skip("this machine lets no process read another one's memory")
    return b"".join(held)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; raises TimeoutError."""
    async with asyncio.timeout(SETTLE_TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is another process, which sets no event here
            await asyncio.sleep(0.01)


async def read_payments(books: Any) -> dict[int, list[tuple[Payment, list[Intent]]]]:
    found: dict[int, list[tuple[Payment, list[Intent]]]] = {}
    for payment in await books.recent_payments(1_000):
        amount = payment.order.amount if payment.order else 0
        found.setdefault(amount, []).append((payment, await books.intents(payment.id)))
    return found


def a_payment(amount: int) -> tuple[PartContent, PartContent]:
    """Make the two parts of a payment under a phone number nobody used."""
    element = PhoneElement(phone=next(PHONES))
    order = WireOrder(payee="Tea House", amount=amount, currency="CNY", reference=f"order {amount}")
    card = {"pan": Secret(CARD), "expiry": Secret(EXPIRY)}
    return (
        PartContent(policy="card", element=element, fields=card, order=order),
        PartContent(policy="card", element=element, fields={"pin_block": pin_block_1(Secret(PIN))}),
    )


@contextlib.asynccontextmanager
async def live_platform(
    home: Path,
    *,
    delay_s: float = 1.0,
    workers: int = 1,
    settings: str = "",
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Live]:
    """Make, furnish and start a platform.

    `delay_s` is how late a late answer of the bank comes, `settings` are more lines of TOML, `environ` is added to its
    environment.
    """
    data, environ = home / "data", environ or {}
    create(data, SETTINGS + settings)
    arguments = ["tallystick.cli.main", "--data", str(data), "serve", "--workers", str(workers)]
    async with contextlib.AsyncExitStack() as stack:
        async with office(data, config.load(data, environ)) as desk:
            sandbox, bank = await connected_bank(desk, home, delay_s)
            stack.push_async_callback(sandbox.stop)
            child = Child("the platform", arguments, home / "platform.log", environ)
            live = Live(home, sandbox, bank, child, environ)
            for name, fields in CHANNELS.items():
                await enrol(live, desk, name, fields)
            await allow_one_card(desk)
        # From here on the platform's process is the only one that has the database open, as in real operation.
        stack.push_async_callback(live.child.stop)
        stack.push_async_callback(live.disconnect)
        await live.start()
        yield live


async def allow_one_card(desk: Office) -> None:
    """Let the one card that everybody pays with here be tried as often as a test likes."""
    often, keys, at = limiting.read_limit("1000000/1h"), KeyringAccess(desk.keyring), desk.clock.now()
    await desk.store.transact(
        lambda books: limiting.change(books, keys, LimitKind.CREDENTIAL, often, author="tests", at=at)
    )


async def connected_bank(desk: Office, home: Path, delay_s: float) -> tuple[UnionPaySandbox, BackEnd]:
    """Register a UnionPay-style bank and start it in this process."""
    bank = await administer.add_institution(desk, name="Bank", connector="iso8583", schemes=frozenset({"unionpay"}))
    private = x509.new_private_key()
    csr = x509.make_csr(private, uri=f"{INSTITUTION_URI}{bank.id}", dns=("localhost",), common_name=bank.name)
    chain, key = home / "bank.pem", home / "bank.key"
    chain.write_bytes(administer.issue_back_end_certificate(desk, bank.id, csr, ("localhost",)))
    profiles.write_private(key, private)
    keys: dict[str, Any] = {"mac_key": desk.randomness.token(16).hex(), "pin_key": desk.randomness.token(16).hex()}
    cards = {CARD: Card(pin=PIN, expiry=EXPIRY), LONG_PIN_CARD: Card(pin=LONG_PIN, expiry=EXPIRY)}
    sandbox = UnionPaySandbox(
        SandboxConfig(cert=str(chain), key=str(key), ca=str(desk.ca.trust), cards=cards, delay_s=delay_s, **keys)
    )
    await sandbox.start()
    settings = {
        "host": "127.0.0.1",
        "port": sandbox.port,
        "server_name": "localhost",
        "acquirer": "48020000",
        "forwarder": "48020000",
        "terminal": "TALLY001",
        "merchant": "TALLYSTICK00001",
        "timeout_s": 5.0,
        **keys,
    }
    return sandbox, await administer.set_connector(desk, bank.id, settings)


async def enrol(
    live: Live, desk: Office, name: str, fields: str, key: Ed25519Private | EcdsaPrivate | None = None
) -> None:
    """Register a channel, by a MAC key or by a key of its own, and load its profile."""
    public = key.public().pem() if key else None
    new = await administer.add_channel(
        desk, name=name, kind=ChannelKind.MERCHANT, fields=frozenset(fields.split()), public_key=public
    )
    place = live.home / "profiles" / re.sub(r"\W", "-", name)
    if key is None:
        live.profiles[name] = load_profile(profiles.write_channel(desk, new, place, LATER))
        return
    place.mkdir(parents=True)
    private = x509.new_private_key()
    csr = x509.make_csr(private, uri=f"{CHANNEL_URI}{new.channel.id}", common_name=name)
    (place / "certificate.pem").write_bytes(administer.issue_channel_certificate(desk, new.channel.id, csr))
    (place / "identity.pem").write_bytes(desk.keyring.identity.public().pem())
    profiles.write_private(place / "private.key", private)
    profiles.write_private(place / "signing.key", key.pem())
    written = ProfileFile(
        base_url=LATER,
        sender=new.channel.id,
        algorithm=key.algorithm,
        ca=str(desk.ca.trust),
        certificate="certificate.pem",
        private_key="private.key",
        identity="identity.pem",
        signing_key="signing.key",
    )
    (place / "profile.json").write_bytes(msgspec.json.encode(written))
    live.profiles[name] = load_profile(place / "profile.json")
