"""A platform in memory, its gateway without sockets, and a back end that fetches from it by the SDK."""

import contextlib
import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tallystick.adapters.connectors.pull import PullConnector
from tallystick.adapters.connectors.pull_settings import PullSettings
from tallystick.assembly.facts import CredentialKind, ElementKind, Fate, Order, PaymentState
from tallystick.assembly.model import Element, Payment
from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import Ed25519Private, HmacKey
from tallystick.crypto.x509 import PeerCertificate
from tallystick.delivery.deliver import request_key
from tallystick.delivery.model import Instruction, Intent, MessageIds, Original, PullDelivery
from tallystick.delivery.pull_queue import PullQueue
from tallystick.errors import ChannelUnknown
from tallystick.path import Platform
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis, SystemClock
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.deliveries import Deliveries
from tallystick.sdk.requests import Credentials
from tallystick.secret import Pan, Secret
from tallystick.security.model import Sender
from tallystick.service.background import Carriers
from tallystick.service.gateway import Gateway
from tallystick.service.pull import PullDesk
from tallystick.service.server import PEER
from tallystick.testing.pins import MemoryPins
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform
from tallystick.testing.sandbox.pull_back_end import PullBackEnd
from tallystick.testing.sandbox.record import Record
from tallystick.testing.sandbox.rest_rules import SandboxCard, rule
from tallystick.vault.model import CardCredential

BANK, OTHER = "20000001", "20000002"
PAN, PIN_BLOCK = "4242424242424242", "1412348F0A3B5C7D"
CARD = CardCredential(pan=Pan(PAN), expiry=Secret("3012"))
ORDER = Order(payee="Tea House", amount=1250, currency="CNY", reference="order 7")


class ShiftedClock(SystemClock):
    """The machine's clock, moved forward by `offset` ms."""

    offset = 0

    def now(self) -> Millis:
        return Millis(super().now() + self.offset)


class Institutions:
    """Know the institutions of the table as senders with the keys of the memory platform's members."""

    def __init__(self, world: MemoryPlatform) -> None:
        self._world = world

    async def sender(self, institution: str) -> tuple[BackEnd, Sender]:
        if institution not in self._world.members:
            raise ChannelUnknown("no institution is registered as a sender under this certificate")
        return bank(institution, connector="pull"), self._world.members[institution].sender


class NothingRevoked:
    def check(self, peer: PeerCertificate, _now: Millis) -> PeerCertificate:
        return peer


@dataclass
class World:
    """Everything in one hand; `clock` is everybody's."""

    memory: MemoryPlatform
    platform: Platform
    queue: PullQueue
    app: Any
    identity: Ed25519Private
    key: JweKey
    clock: ShiftedClock
    made: int = 0
    clients: list[TallystickClient] = field(default_factory=list)
    away: bool = False

    def connector(self, institution: str = BANK, **settings: Any) -> PullConnector:
        usual = {"visible_s": 0.4, "patience_s": 0.8, "accepts": frozenset({CredentialKind.CARD})}
        told = PullSettings(**{"encryption_jwk": self.key.public_jwk(), **usual, **settings})
        return PullConnector(told, institution, self.queue, self.clock)

    def client(self, institution: str = BANK, key: Any = None) -> TallystickClient:
        """Return a client with the certificate of an institution (or channel), signing with its key or another one."""
        http = httpx2.AsyncClient(
            base_url="https://platform", transport=httpx2.ASGITransport(functools.partial(self._serve, institution))
        )
        credentials = Credentials(sender=institution, key=key or self.memory.members[institution].key)
        client = TallystickClient(http, credentials, self.identity.public(), clock=self.clock)
        self.clients.append(client)
        return client

    def deliveries(self, institution: str = BANK, key: Any = None) -> Deliveries:
        return Deliveries(self.client(institution, key), institution, self.key)

    def back_end(self, late_s: float = 1.0) -> PullBackEnd:
        return PullBackEnd(
            self.deliveries(),
            self.deliveries(key=HmacKey(b"stranger" * 4)),
            self.client(),
            rules=functools.partial(rule, {}, {PAN: SandboxCard(expiry="3012")}),
            record=Record(),
            clock=self.clock,
            late_s=late_s,
        )

    async def instruction(self, amount: int = 1250, institution: str = BANK, **fields: Any) -> Instruction:
        """Make a payment that is being delivered, and the instruction of its first request."""
        self.made += 1
        payment_id, now = f"pay_{self.made:032x}", self.clock.now()
        order = Order(payee="Tea House", amount=amount, currency="CNY", reference="order 7")
        ids = MessageIds(stan=f"{self.made:06d}", rrn=f"636523{self.made:06d}", key=request_key(payment_id, 1), at=now)
        payment = Payment(
            id=payment_id,
            policy="card",
            element=Element(kind=ElementKind.PHONE, digest=payment_id.encode()),
            claimed=True,
            opened_at=now,
            expires_at=Millis(now + 600_000),
            state=PaymentState.DELIVERING,
            fate=Fate.JOINED,
            order=order,
            updated_at=now,
        )
        intent = Intent(payment_id=payment_id, n=1, back_end=institution, ids=ids, table_version=1, digest=b"digest")

        async def work(books: Any) -> None:
            await books.add_payment(payment)
            await books.add_intent(intent)

        await self.memory.store.transact(work)
        return Instruction(**{"payment_id": payment_id, "order": order, "ids": ids, "credential": CARD, **fields})

    async def row(self, instruction: Instruction) -> PullDelivery | None:
        return await self.queue.find(instruction.ids.key)

    async def state(self, instruction: Instruction) -> PaymentState:
        payment = await self.memory.store.read(lambda books: books.payment(instruction.payment_id))
        assert payment is not None
        return payment.state

    async def _serve(self, institution: str, scope: Any, receive: Any, send: Any) -> None:
        if self.away:
            raise httpx2.ConnectError("the platform is away")
        kind = "institution" if institution.isdigit() else "channel"
        peer = PeerCertificate(
            serial=institution,
            fingerprint=institution,
            uri=f"tallystick:{kind}:{institution}",
            purposes=frozenset(),
            not_before=Millis(0),
            not_after=Millis(2**52),
        )
        await self.app({**scope, PEER: peer}, receive, send)


def original(instruction: Instruction) -> Original:
    return Original(payment_id=instruction.payment_id, order=instruction.order, ids=instruction.ids)


def follow_up(instruction: Instruction) -> MessageIds:
    return MessageIds(
        stan="900001", rrn="636523900001", key=request_key(instruction.payment_id, 2), at=instruction.ids.at
    )


@contextlib.asynccontextmanager
async def open_world() -> AsyncIterator[World]:
    memory, clock, identity = await memory_platform(), ShiftedClock(), Ed25519Private()
    for name in (BANK, OTHER, "pc"):
        await memory.channel(name)
    platform = Platform(
        store=memory.store,
        keyring=memory.keyring,
        opening_keys=memory.opening_keys,
        epochs=memory.epochs,
        recovery_keys=memory.recovery_keys,
        connectors=memory.connectors,
        pins=MemoryPins(),
        stretcher=memory.platform.stretcher,
        counter=memory.platform.counter,
        node=memory.node,
        policies=memory.platform.policies,
        clock=clock,
        randomness=memory.randomness,
    )
    queue = PullQueue(memory.store, memory.keyring, clock)
    gateway = Gateway(
        platform,
        standing=NothingRevoked(),
        institutions=Institutions(memory),
        identity=identity,
        carriers=Carriers(platform),
        more=PullDesk(platform, queue).handlers(),
    )
    world = World(memory, platform, queue, gateway.app(), identity, JweKey.generate("enc-1"), clock)
    try:
        yield world
    finally:
        queue.close()
        for client in world.clients:
            await client.close()
