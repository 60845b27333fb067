"""An authority, certificates, and the UnionPay-style sandbox with a connector to it, over real TLS on loopback."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.connectors.iso8583 import Iso8583Connector
from tallystick.adapters.connectors.iso8583_settings import Iso8583Settings, decode_settings
from tallystick.assembly.facts import Order
from tallystick.crypto import pin
from tallystick.crypto.ca import BACK_END, CHANNEL, DAY_MS, PLATFORM, Profile
from tallystick.crypto.tls import client_context
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.delivery.model import Instruction, MessageIds, Original
from tallystick.runtime import Millis, SystemClock
from tallystick.secret import Pan, Secret
from tallystick.testing.pins import MemoryPins
from tallystick.testing.sandbox.unionpay import UnionPaySandbox
from tallystick.testing.sandbox.unionpay_config import SandboxConfig
from tallystick.vault.model import CardCredential

TDES_KEY: Final = "0123456789ABCDEFFEDCBA9876543210"
AES_KEY: Final = "C1D0F8FB4958670DBA40AB1F3752EF0D"
MAC_KEY: Final = "2B7E151628AED2A6ABF7158809CF4F3C"
ZONE_KEY: Final = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"
PAN: Final = "6221558812340000"
PAN_WITHOUT_PIN: Final = "6221558812340018"
PIN: Final = "123456"
AT: Final = Millis(1_764_000_000_000)
PATIENCE_S: Final = 10.0  # s a test waits for what must happen on a busy machine


@dataclass
class Place:
    """An authority and the certificates of one test run."""

    ca: FileCa
    directory: Path
    made: dict[str, tuple[Path, Path]] = field(default_factory=dict)

    def certify(self, name: str, profile: Profile, uri: str, dns: tuple[str, ...] = ()) -> None:
        key = new_private_key()
        now = Millis(time.time_ns() // 1_000_000)
        chain = self.ca.issue(make_csr(key, uri=uri, common_name=name), profile, uri=uri, dns=dns, now=now, life=DAY_MS)
        files = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        for path, content in zip(files, (chain, key), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(content)
        self.made[name] = files

    def sandbox(self, **changes: Any) -> SandboxConfig:
        cert, key = self.made["bank"]
        files = {"cert": str(cert), "key": str(key), "ca": str(self.ca.trust)}
        cards = {PAN: {"pin": PIN, "expiry": "3012"}, PAN_WITHOUT_PIN: {}}
        plain = {**files, "mac_key": MAC_KEY, "pin_key": TDES_KEY, "cards": cards, "delay_s": 1.6}
        return msgspec.convert({**plain, **changes}, SandboxConfig)

    def connector(self, port: int, who: str = "platform", **changes: Any) -> Iso8583Connector:
        context = client_context(self.ca.trust, *self.made[who])
        return Iso8583Connector(settings(port=port, **changes), context, SystemClock(), MemoryPins())


def make_place(directory: Path) -> Place:
    ca = FileCa.create(directory / "ca", name="test", now=Millis(time.time_ns() // 1_000_000))
    made = Place(ca, directory)
    made.certify("bank", BACK_END, "tallystick:institution:inst_bank", ("localhost",))
    made.certify("platform", PLATFORM, "tallystick:platform:main")
    made.certify("shop", CHANNEL, "tallystick:channel:ch_shop")
    return made


def settings(**changes: Any) -> Iso8583Settings:
    plain = plain_settings() | changes
    return decode_settings(json.dumps({name: value for name, value in plain.items() if value is not None}).encode())


def plain_settings() -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": 1,
        "server_name": "localhost",
        "acquirer": "48021910",
        "forwarder": "48021910",
        "terminal": "00000001",
        "merchant": "898310148160001",
        "mac_key": MAC_KEY,
        "pin_key": TDES_KEY,
        "timeout_s": 1.0,
        "connections": 1,
    }


@contextlib.asynccontextmanager
async def running(place: Place, **changes: Any) -> AsyncIterator[UnionPaySandbox]:
    sandbox = UnionPaySandbox(place.sandbox(**changes))
    await sandbox.start()
    try:
        yield sandbox
    finally:
        await sandbox.stop()


@contextlib.asynccontextmanager
async def connected(
    place: Place, *, who: str = "platform", sandbox: dict[str, Any] | None = None, **changes: Any
) -> AsyncIterator[tuple[Iso8583Connector, UnionPaySandbox]]:
    async with running(place, **(sandbox or {})) as back_end:
        connector = place.connector(back_end.port, who, **changes)
        try:
            yield connector, back_end
        finally:
            await connector.aclose()


def instruction(number: int = 1, *, amount: int = 1000, digits: str | None = PIN, **changes: Any) -> Instruction:
    block = None if digits is None else pin.pin_block_1(Secret(digits))
    card = {"pan": Pan(PAN), "expiry": Secret("3012"), "pin_block": block, **changes}
    return Instruction(
        payment_id=f"pay_{number}",
        order=Order(payee="Tea shop", amount=amount, currency=card.pop("currency", "CNY")),
        ids=ids(number),
        credential=card.pop("credential", None) or CardCredential(**card),
    )


def ids(number: int) -> MessageIds:
    return MessageIds(stan=f"{number:06d}", rrn=f"{number:012d}", key=f"key-{number}", at=AT)


def original(number: int = 1, *, amount: int = 1000) -> Original:
    """Return what is kept of `instruction(number, amount=amount)`."""
    order = Order(payee="Tea shop", amount=amount, currency="CNY")
    return Original(payment_id=f"pay_{number}", order=order, ids=ids(number), account=Secret(PAN))


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 (what is waited for happens in another object, without an event)
            await asyncio.sleep(0.005)
