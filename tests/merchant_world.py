"""The merchants' API over a platform in memory: keys, requests, and parts from other channels."""

from dataclasses import dataclass
from typing import Any

import msgspec

from tallystick.channels import access
from tallystick.channels.model import Channel, ChannelKind, ChannelState, Role, Scope
from tallystick.crypto.signing import HmacKey
from tallystick.path import carry
from tallystick.secret import Secret
from tallystick.security.access_keys import KeyringAccess
from tallystick.security.api_key import part_key
from tallystick.security.model import Arrival
from tallystick.service.background import Carriers
from tallystick.service.bearer import Bearers
from tallystick.service.merchants.desk import MerchantDesk
from tallystick.service.merchants.edge import MerchantEdge
from tallystick.service.merchants.feed import Feed
from tallystick.service.merchants.test_mode import TestDesk
from tallystick.testing.asgi import Reply, ask
from tallystick.testing.messages import arrival_of, send_part
from tallystick.testing.platform import Member, MemoryPlatform, bank, memory_platform

ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY", "reference": "order 7"}
LINES = [{"text": "Longjing, 50 g", "quantity": 2, "amount": 1000}, {"text": "Delivery", "amount": 250}]
NEW = {"policy": "card", "order": ORDER}
PAN, PIN_BLOCK = "6212142600000000043", "1412348F0A3B5C7D"
ALL = frozenset({Scope.ORDER, Scope.READ, Scope.REFUND})


@dataclass
class MerchantWorld:
    memory: MemoryPlatform
    app: Any
    feed: Feed
    bearers: Bearers
    carriers: Carriers
    sent: int = 0
    given: Any = None

    async def key(self, holder: str = "bookshop", scopes: frozenset[Scope] = ALL, *, live: bool = True) -> str:
        """Give a merchant a key."""
        keys, clock = KeyringAccess(self.memory.keyring), self.memory.clock
        made = access.make(
            keys,
            clock,
            self.memory.randomness,
            holder=holder,
            role=Role.MERCHANT,
            scopes=scopes,
            live=live,
            life=access.DAY_MS,
        )
        await self.memory.store.transact(lambda books: access.add(books, keys, made.key, clock.now()))
        return made.token.reveal()

    async def ask(
        self, key: str, method: str, target: str, content: object = None, *, idem: str | None = None, **headers: str
    ) -> Reply:
        """Send one request; a POST has a fresh Idempotency-Key unless one is given."""
        self.sent += 1
        lines = {"authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        body = b""
        if method == "POST":
            lines = {"content-type": "application/json", "idempotency-key": idem or f"idem-{self.sent}", **lines}
            body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        return await ask(self.app, method, target, headers=lines.items(), body=body)

    async def create(self, key: str, **changes: object) -> dict[str, Any]:
        """Create a payment and return what was answered."""
        reply = await self.ask(key, "POST", "/v1/payments", {**NEW, **changes})
        assert 201 == reply.status, reply.body
        answered: dict[str, Any] = msgspec.json.decode(reply.body)
        return answered

    async def send_half(
        self,
        key: str,
        created: dict[str, Any],
        fields: dict[str, str] | None = None,
        *,
        policy: str = "card",
        **how: Any,
    ) -> Reply:
        """Send the holder's own half of a payment, sealed and signed under what the API key gives; `how` as Half."""
        half = {"policy": policy, "element": {"kind": "page"}, "fields": fields or {"pan": PAN, "expiry": "3012"}}
        owner = f"merchant:{'live' if key.startswith('tsk_live') else 'test'}:{how.pop('holder', 'bookshop')}"
        return await self.half(key, created, half, owner=owner, **how)

    async def half(self, key: str, created: dict[str, Any], content: object, *, owner: str, **how: Any) -> Reply:
        """Send any content as a half."""
        channel = Channel(
            id=owner,
            name=owner,
            kind=ChannelKind.MERCHANT,
            state=ChannelState.ACTIVE,
            fields=frozenset(),
            proves_payer=False,
            algorithm=HmacKey.algorithm,
            sealed_key=b"",
            created_at=self.memory.clock.now(),
        )
        target = f"/v1/payments/{created['id']}/parts"
        usual = {"payment": created["id"], "bound": self.bound(created), "target": target}
        member = Member(channel, part_key(Secret(key)), owner)
        arrival = arrival_of(self.memory, member, content, **{**usual, **how})
        return await self.give(key, arrival)

    async def give(self, key: str, arrival: Arrival) -> Reply:
        """Send a request once more, byte for byte."""
        headers = {**arrival.headers, "authorization": f"Bearer {key}"}
        self.given = arrival
        return await ask(self.app, "POST", arrival.target, headers=headers.items(), body=arrival.body)

    async def pay(self, created: dict[str, Any]) -> None:
        """Send both halves over two channels, and carry the payment to its back end."""
        element = {"kind": "code", "code": created["code"]}
        bound = self.bound(created)
        how = {"payment": created["id"], "bound": bound}
        pan = {"policy": "card", "element": element, "fields": {"pan": PAN, "expiry": "3012"}}
        pin = {"policy": "card", "element": element, "fields": {"pin_block": PIN_BLOCK}}
        await send_part(self.memory, self.memory.members["pc"], pan, **how)
        await send_part(self.memory, self.memory.members["phone"], pin, **how)
        await carry(self.memory.platform, created["id"])

    def bound(self, created: dict[str, Any]) -> tuple[str, ...]:
        """Return what a part's envelope is bound to, from what the merchant was answered."""
        order = created["order"]
        lines = [
            text
            for each in order.get("lines", ())
            for text in (each["text"], str(each.get("quantity", 1)), str(each["amount"]))
        ]
        return (
            created["id"],
            order["payee"],
            str(order["amount"]),
            order["currency"],
            order.get("reference", ""),
            *lines,
        )


def read(reply: Reply) -> dict[str, Any]:
    answered: dict[str, Any] = msgspec.json.decode(reply.body)
    return answered


async def merchant_world() -> MerchantWorld:
    memory = await memory_platform()
    for name in ("pc", "phone"):
        await memory.channel(name)
    await memory.back_end(bank("20000001"))
    bearers = Bearers(memory.store, memory.keyring, memory.clock)
    feed = Feed(memory.store, bearers, memory.clock, poll_s=0.001)
    carriers = Carriers(memory.platform)
    desk = MerchantDesk(memory.platform, carriers)
    test = TestDesk(memory.platform, desk, carriers)
    edge = MerchantEdge(memory.platform, bearers, {**desk.handlers(), **test.handlers(), **feed.handlers()})
    return MerchantWorld(memory, edge.app(), feed, bearers, carriers)
