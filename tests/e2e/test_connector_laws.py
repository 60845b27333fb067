"""Every built-in connector keeps every law of connectors, over real TLS, with its sandbox behind it."""

import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from certified import PLATFORM_URI, Certified

from tallystick.adapters.connectors.kinds import ConnectorTools, load_kinds
from tallystick.assembly.facts import Order
from tallystick.crypto import tls
from tallystick.crypto.signing import Ed25519Private
from tallystick.delivery.model import Instruction, MessageIds
from tallystick.delivery.pull_queue import PullQueue
from tallystick.runtime import SystemClock, SystemRandomness
from tallystick.secret import Pan, Secret
from tallystick.testing.bench import Behaviour, Bench
from tallystick.testing.conformance import ConnectorConformance
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.memory_store import MemoryStore
from tallystick.testing.pins import MemoryPins
from tallystick.testing.sandbox import pairs, record
from tallystick.testing.sandbox.account import AccountSandbox, AccountSandboxConfig
from tallystick.testing.sandbox.pairs import Pair, Place
from tallystick.testing.sandbox.record import Entry
from tallystick.testing.sandbox.rest import RestSandbox, RestSandboxConfig
from tallystick.testing.sandbox.unionpay import UnionPaySandbox
from tallystick.testing.sandbox.unionpay_config import SandboxConfig
from tallystick.testing.sandbox.visa import VisaSandbox, VisaSandboxConfig
from tallystick.vault.model import AccountCredential, CardCredential, Credential

pytestmark = pytest.mark.e2e

INSTITUTION = "10000001"
TIMEOUT_S, LATE_S, PATIENCE_S = 1.0, 1.6, 4.0
EXPIRY, PIN, PIN_BLOCK = "3012", "135790", "16135790A1B2C3D4"
ACCOUNT, SECRET = "qianbao:lihua", "river-stone-lantern"
AMOUNTS = {
    Behaviour.APPROVE: 1_250,
    Behaviour.DECLINE: 1_251,
    Behaviour.SILENT: 9_901,
    Behaviour.LATE: 9_902,
    Behaviour.FORGED: 9_903,
    Behaviour.CUT: 9_904,
    Behaviour.GARBAGE: 9_905,
    Behaviour.TWICE: 9_907,
}
"""The last digits of an amount, by which the sandboxes behave (docs/reference/sandboxes.md)."""
AUTHORISATIONS = {"0200", "pay", "authorisation", "authorization"}


def card(number: str) -> CardCredential:
    return CardCredential(pan=Pan(number), expiry=Secret(EXPIRY), pin_block=Secret(PIN_BLOCK))


@dataclass(frozen=True)
class Kind:
    """One kind of back end: how both sides are set up, the sandbox, what pays, and how its record names a request."""

    pair: Callable[[Place, Ed25519Private], Pair]
    sandbox: Callable[[dict[str, Any]], Any]
    credential: Credential
    named: Callable[[Instruction, Entry], bool]
    lacks: dict[Behaviour, str] = field(default_factory=dict)


UNIONPAY = Kind(
    lambda place, _: pairs.unionpay(
        place,
        SystemRandomness(),
        {"6250947000000014": {"pin": PIN, "expiry": EXPIRY}},
        timeout_s=TIMEOUT_S,
        delay_s=LATE_S,
    ),
    lambda config: UnionPaySandbox(msgspec.convert(config, SandboxConfig)),
    card("6250947000000014"),
    lambda instruction, entry: entry.get("rrn") == instruction.ids.rrn,
)
VISA = Kind(
    lambda place, _: pairs.visa(
        place,
        SystemRandomness(),
        {"4242424242424242": {"pin": PIN, "expiry": EXPIRY}},
        timeout_s=TIMEOUT_S,
        late_s=LATE_S,
    ),
    lambda config: VisaSandbox(msgspec.convert(config, VisaSandboxConfig)),
    card("4242424242424242"),
    lambda instruction, entry: entry.get("key") == instruction.ids.key,
    {Behaviour.TWICE: "its sandbox takes the request twice to answer twice"},
)
ACCOUNTS = Kind(
    lambda place, _: pairs.account(place, {ACCOUNT: SECRET}, timeout_s=TIMEOUT_S, slow_s=LATE_S),
    lambda config: AccountSandbox(msgspec.convert(config, AccountSandboxConfig)),
    AccountCredential(account=Secret(ACCOUNT), secret=Secret(SECRET)),
    lambda instruction, entry: entry.get("payment_key") == instruction.ids.key,
)
REST = Kind(
    lambda place, identity: pairs.rest(
        place, {ACCOUNT: SECRET}, identity.public().pem(), timeout_s=TIMEOUT_S, slow_s=LATE_S
    ),
    lambda config: RestSandbox(msgspec.convert(config, RestSandboxConfig)),
    AccountCredential(account=Secret(ACCOUNT), secret=Secret(SECRET)),
    lambda instruction, entry: entry.get("payment_key") == instruction.ids.key,
)


class SandboxBench:
    """A connector as the platform builds it, and its sandbox in this process, on a port that stays its own."""

    patience_s = PATIENCE_S

    def __init__(self, kind: Kind, directory: Path) -> None:
        certified, identity = Certified.create(directory, INSTITUTION), Ed25519Private()
        chain, key = certified.made[INSTITUTION]
        home = directory / "back-end"
        home.mkdir(mode=0o700)
        place = Place(home, INSTITUTION, chain, key, certified.ca.trust, PLATFORM_URI)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        pair = kind.pair(place, identity)
        settings = pair.settings(port)
        self.lacks = kind.lacks
        self.secrets = tuple(
            text
            for text in ("6250947000000014", "4242424242424242", SECRET, PIN_BLOCK, *settings.values())
            if isinstance(text, str) and len(text) > 15 and "://" not in text
        )
        self._kind = kind
        self._sandbox = kind.sandbox({**pair.config, "port": port})
        tools = ConnectorTools(
            institution=INSTITUTION,
            ssl_context=tls.client_context(certified.ca.trust, *certified.made["platform"]),
            signer=identity,
            keyid=PLATFORM_URI,
            clock=SystemClock(),
            randomness=SystemRandomness(),
            queue=PullQueue(MemoryStore(), MemoryKeyring(), SystemClock()),
            pins=MemoryPins(),
        )
        self.connector = load_kinds()[pair.connector].build(msgspec.json.encode(settings), tools)
        self._made = 0

    async def instruction(self, behaviour: Behaviour) -> Instruction:
        self._made += 1
        amount = 10_000 * self._made + AMOUNTS[behaviour]
        stan, at = f"{self._made:06d}", SystemClock().now()
        return Instruction(
            payment_id=f"pay_{self._made}",
            order=Order(payee="Tea House", amount=amount, currency="CNY", reference="order 7"),
            ids=MessageIds(stan=stan, rrn=f"636523{stan}", key=f"req_{self._made}_1", at=at),
            credential=self._kind.credential,
        )

    async def arrived(self, instruction: Instruction) -> int:
        return sum(entry["kind"] in AUTHORISATIONS for entry in self._own(instruction))

    async def effective(self, instruction: Instruction) -> int:
        return record.effective(self._own(instruction))

    async def unplug(self) -> None:
        await self._sandbox.stop()

    async def plug_in(self) -> None:
        await self._sandbox.start()

    def _own(self, instruction: Instruction) -> list[Entry]:
        return [entry for entry in self._sandbox.record.entries if self._kind.named(instruction, entry)]


class BuiltIn(ConnectorConformance):
    kind: Kind

    def bench(self) -> AbstractAsyncContextManager[Bench]:
        return self._open()

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[Bench]:
        with tempfile.TemporaryDirectory() as directory:
            bench = SandboxBench(self.kind, Path(directory))
            await bench.plug_in()
            try:
                yield bench
            finally:
                await bench.connector.aclose()
                await bench.unplug()


class TestIso8583(BuiltIn):
    kind = UNIONPAY


class TestVisa(BuiltIn):
    kind = VISA


class TestAccount(BuiltIn):
    kind = ACCOUNTS


class TestRest(BuiltIn):
    kind = REST
