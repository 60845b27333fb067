"""Payments, parts, endpoints and a receiver for the tests of this stage, all in memory."""

from dataclasses import dataclass, field
from typing import Any

from tallystick.assembly.facts import ElementKind, Fate, PaymentState
from tallystick.assembly.model import Element, Part, Payment
from tallystick.channels.model import Channel, ChannelKind, ChannelState
from tallystick.crypto.signing import Ed25519Private
from tallystick.errors import Unavailable
from tallystick.outcomes import endpoints
from tallystick.outcomes.announce import announce
from tallystick.outcomes.endpoints import NewSecret
from tallystick.outcomes.model import Webhook
from tallystick.outcomes.ports import Posted
from tallystick.outcomes.send import Sender
from tallystick.sdk.webhooks import unwrap
from tallystick.testing.clock import SeededRandomness, VirtualClock
from tallystick.testing.memory_store import MemoryStore
from tallystick.testing.platform import MemoryKeyring
from tallystick.wire.outcome import OutcomeMessage

JOINED, DELIVERING = PaymentState.JOINED, PaymentState.DELIVERING
UNKNOWN, INQUIRY, MANUAL = PaymentState.UNKNOWN, PaymentState.INQUIRY, PaymentState.MANUAL
APPROVED, EXPIRED = PaymentState.APPROVED, PaymentState.EXPIRED


class ScriptedReceiver:
    """Answer with what `script` holds first, then 200; keep what came (`outcomes.ports.Poster`)."""

    def __init__(self) -> None:
        self.script: list[Posted | Exception] = []
        self.came: list[tuple[str, dict[str, str], bytes]] = []

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Posted:
        self.came.append((url, headers, body))
        answer = self.script.pop(0) if self.script else Posted(200)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.came]


@dataclass
class World:
    """One store with a shop and two channels that send parts."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: VirtualClock = field(default_factory=VirtualClock)
    randomness: SeededRandomness = field(default_factory=SeededRandomness)
    keyring: MemoryKeyring = field(default_factory=MemoryKeyring)
    identity: Ed25519Private = field(default_factory=Ed25519Private)
    receiver: ScriptedReceiver = field(default_factory=ScriptedReceiver)

    @property
    def sender(self) -> Sender:
        return Sender(
            self.store,
            self.receiver,
            self.keyring,
            identity=self.identity,
            clock=self.clock,
            randomness=self.randomness,
        )

    async def channel(self, channel_id: str, state: ChannelState = ChannelState.ACTIVE) -> None:
        channel = Channel(
            id=channel_id,
            name=channel_id,
            kind=ChannelKind.PC_BROWSER,
            state=state,
            fields=frozenset({"pan"}),
            proves_payer=False,
            algorithm="hmac-sha256",
            sealed_key=b"",
            created_at=self.clock.now(),
        )
        await self.store.transact(lambda books: books.add_channel(channel))

    async def endpoint(self, channel_id: str = "shop", url: str = "https://shop.example/hook") -> NewSecret:
        return await endpoints.add(
            self.store, self.keyring, self.clock, self.randomness, channel_id=channel_id, url=url
        )

    async def payment(self, payment_id: str = "pay_1", **fields: Any) -> None:
        now = self.clock.now()
        usual = {
            "policy": "card",
            "element": Element(kind=ElementKind.CODE, digest=payment_id.encode()),
            "claimed": True,
            "opened_at": now,
            "expires_at": now + 600_000,
            "updated_at": now,
            "owner": "shop",
            "state": DELIVERING,
            "fate": Fate.JOINED,
        }
        payment = Payment(**{"id": payment_id, **usual} | fields)
        await self.store.transact(lambda books: books.add_payment(payment))

    async def part(self, part_id: str, channel_id: str, **fields: Any) -> None:
        usual = {
            "payment_id": "pay_1",
            "certificate": channel_id,
            "fields": frozenset({"pan"}),
            "received_at": self.clock.now(),
            "epoch": "e",
            "sealed": b"sealed",
        }
        part = Part(**{"id": part_id, "channel_id": channel_id, **usual} | fields)
        await self.store.transact(lambda books: books.add_part(part))

    async def move(self, was: PaymentState, state: PaymentState, payment_id: str = "pay_1", code: str = "") -> None:
        at = self.clock.now()
        assert await self.store.transact(
            lambda books: books.advance(payment_id, expected=was, state=state, at=at, response_code=code or None)
        )

    async def announce(self) -> int:
        return await announce(self.store, self.clock, self.randomness)

    async def waiting(self) -> list[Webhook]:
        """Return all webhooks, due or not."""
        return await self.store.read(lambda books: books.due_webhooks(2**52, 1_000))

    async def dead(self) -> list[Webhook]:
        return await self.store.read(lambda books: books.dead_webhooks(1_000))

    async def send_due(self) -> int:
        """Send what is due, one after the other; returns how many."""
        due = await self.sender.due(1_000)
        for webhook in due:
            await self.sender.try_once(webhook)
        return len(due)

    def received(self, made: NewSecret) -> list[OutcomeMessage]:
        """Unwrap what came to an endpoint, as its receiver."""
        return [
            unwrap(body, headers, [made.secret.reveal()], now=self.clock.now())
            for url, headers, body in self.receiver.came
            if url == made.endpoint.url
        ]


async def world() -> World:
    made = World()
    for name in ("shop", "pc", "phone"):
        await made.channel(name)
    return made


def away() -> Unavailable:
    return Unavailable("the receiver could not be reached")
