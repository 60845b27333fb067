"""A platform in memory with honest and bad channels, and what an attacker can be seen to have achieved on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from tallystick.assembly.model import Payment
from tallystick.orders import create_payment
from tallystick.path import Accepted, carry
from tallystick.testing.messages import arrival_of, send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform
from tallystick.wire.payment import PaymentCreated

PHONE = {"kind": "phone", "phone": "+8613800138000"}
OTHER_PHONE = {"kind": "phone", "phone": "+8613800138001"}
ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY", "reference": "order 7"}
THIEF = {"payee": "Thief", "amount": 999_900, "currency": "CNY", "reference": "loot"}
PAN, THIEF_PAN = "6212142600000000043", "6250947000000014"
PIN_BLOCK, THIEF_PIN = "1412348F0A3B5C7D", "1456788F0A3B5C7D"


def card(pan: str = PAN, element: object = PHONE, order: object = ORDER) -> dict[str, Any]:
    return {"policy": "card", "element": element, "fields": {"pan": pan, "expiry": "3012"}, "order": order}


def pin(block: str = PIN_BLOCK, element: object = PHONE) -> dict[str, Any]:
    return {"policy": "card", "element": element, "fields": {"pin_block": block}}


@dataclass
class Scene:
    """The platform, and shorthands for what honest and bad people do on it."""

    world: MemoryPlatform

    async def send(self, who: str, content: object, **how: Any) -> Accepted:
        return await send_part(self.world, self.world.members[who], content, **how)

    async def joined(self, first: object, second: object) -> str:
        """Send both halves over honest channels; return the payment they joined."""
        await self.send("pc", first)
        joined = (await self.send("phone", second)).joined
        assert joined is not None
        return joined

    async def create(self, **facts: Any) -> PaymentCreated:
        shop = self.world.members["shop"]
        arrival = arrival_of(self.world, shop, {"policy": "card", "order": ORDER, **facts}, target="/v1/payments")
        body = await create_payment(
            self.world.platform, arrival, channel=shop.channel, sender=shop.sender, key=shop.key
        )
        return msgspec.json.decode(body, type=PaymentCreated)

    async def payments(self) -> list[Payment]:
        return await self.world.store.read(lambda books: books.recent_payments(100))

    async def payment(self, payment_id: str) -> Payment:
        found = await self.world.store.read(lambda books: books.payment(payment_id))
        assert found is not None
        return found

    async def end(self) -> list[tuple[str, str, str]]:
        """Carry whatever joined; return the card, PIN block and payee of each request that left."""
        for payment in await self.payments():
            await carry(self.world.platform, payment.id)
        sent = []
        for instruction in self.world.connectors.sent():
            whole = instruction.credential
            block = whole.pin_block.reveal() if whole.pin_block else ""  # type: ignore[union-attr]
            sent.append((whole.pan.reveal(), block, instruction.order.payee))  # type: ignore[union-attr]
        return sent

    def edit_payment(self, payment_id: str, change: Callable[[Payment], Payment]) -> None:
        """Edit a row behind the platform's back, as who owns the database can."""
        table = self.world.store._books._payments
        found = table.get(payment_id)
        assert found is not None
        table.put(payment_id, change(found))

    def edit_part(self, part_id: str, **members: Any) -> None:
        """Edit a part's row behind the platform's back."""
        table = self.world.store._books._parts
        found = table.get(part_id)
        assert found is not None
        table.put(part_id, replace(found, **members))


async def make_scene() -> Scene:
    world = await memory_platform()
    for name in ("pc", "phone", "voice", "kiosk", "shop", "bad", "worse"):
        await world.channel(name)
    await world.channel("app", proves_payer=True)
    await world.back_end(bank())
    return Scene(world)


def alike(receipt: bytes) -> object:
    """Return what an answer tells beyond the random id of the part."""
    told = msgspec.json.decode(receipt)
    return {**told, "part": len(told["part"])}
