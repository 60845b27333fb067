"""Whatever the order of arrival, whatever is retried, whoever interferes: one result, and a whole of one piece."""

import asyncio
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.assembly.content import open_values
from tallystick.assembly.model import Part, Payment
from tallystick.errors import SameChannel
from tallystick.path import carry
from tallystick.sdk.shares import split_shares
from tallystick.secret import Secret
from tallystick.sweep import RETRY_AFTER_MS, retry_deliverable
from tallystick.testing.clock import SeededRandomness
from tallystick.testing.messages import send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform
from tallystick.vault.model import AccountCredential, CardCredential

PHONE = {"kind": "phone", "phone": "+8613800138000"}
ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY", "reference": "order 7"}
OTHER_ORDER = {**ORDER, "payee": "Thief"}
PAN, PIN_BLOCK = "6212142600000000043", "1412348F0A3B5C7D"
WHOLE = {"pan": PAN, "expiry": "3012", "pin_block": PIN_BLOCK}
ACCOUNT = {"account": "wallet:li", "secret": "wallet secret"}


def shares(whole: dict[str, str], count: int) -> list[dict[str, Any]]:
    split = split_shares({name: Secret(value) for name, value in whole.items()}, count, SeededRandomness(count))
    return [{"share": {"index": share.index, "data": share.data.reveal()}} for share in split]


SPLITS: dict[str, list[dict[str, Any]]] = {
    "card": [{"fields": {"pan": PAN, "expiry": "3012"}}, {"fields": {"pin_block": PIN_BLOCK}}],
    "card-3": [{"fields": {name: value}} for name, value in WHOLE.items()],
    "account": [{"fields": {name: value}} for name, value in ACCOUNT.items()],
    "card-shares-2": shares(WHOLE, 2),
    "card-shares-3": shares(WHOLE, 3),
    "account-shares-2": shares(ACCOUNT, 2),
}


async def new_world(channels: int) -> MemoryPlatform:
    world = await memory_platform()
    for n in range(channels):
        await world.channel(f"ch{n}")
    await world.back_end(bank(schemes=frozenset({"unionpay", "wallet"})))
    return world


def told(world: MemoryPlatform) -> list[dict[str, str | None]]:
    """Return what the back ends were told, revealed."""
    found: list[dict[str, str | None]] = []
    for instruction in world.connectors.sent():
        match instruction.credential:
            case CardCredential(pan=pan, expiry=expiry, pin_block=pin_block):
                found.append(
                    {
                        "pan": pan.reveal(),
                        "expiry": expiry.reveal() if expiry else None,
                        "pin_block": pin_block.reveal() if pin_block else None,
                    }
                )
            case AccountCredential(account=account, secret=secret):
                found.append({"account": account.reveal(), "secret": secret.reveal()})
    return found


@pytest.mark.parametrize("policy", SPLITS)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_any_order_of_arrival_with_any_retries_gives_one_join_and_the_same_credential(
    policy: str, data: st.DataObject
) -> None:
    parts = SPLITS[policy]
    order_comes_with = data.draw(st.sets(st.integers(0, len(parts) - 1), min_size=1))
    sends = data.draw(st.permutations(list(range(len(parts)))))
    retries = data.draw(st.lists(st.integers(0, len(parts) - 1), max_size=4))
    together = data.draw(st.booleans())

    async def run() -> None:
        world = await new_world(len(parts))

        async def send(n: int) -> str | None:
            content = {"policy": policy, "element": PHONE, **parts[n]}
            if n in order_comes_with:
                content["order"] = ORDER
            return (await send_part(world, world.members[f"ch{n}"], content, idempotency_key=f"part {n}")).joined

        turns = [*sends, *retries]
        answers = await asyncio.gather(*map(send, turns)) if together else [await send(n) for n in turns]
        joined = [payment_id for payment_id in answers if payment_id is not None]
        assert 1 == len(joined)
        await carry(world.platform, joined[0])
        assert [WHOLE if policy.startswith("card") else ACCOUNT] == told(world)

    asyncio.run(run())


@pytest.mark.parametrize("arrival", list(permutations(("kiosk", "pc", "app"))), ids=" ".join)
@pytest.mark.parametrize("kiosk_order", [ORDER, OTHER_ORDER, None], ids=["same", "other", "none"])
async def test_in_any_order_of_arrival_the_proven_channels_part_and_order_count(
    arrival: tuple[str, ...], kiosk_order: object
) -> None:
    world = await memory_platform()
    for channel_id in ("kiosk", "pc", "phone"):
        await world.channel(channel_id)
    await world.channel("app", proves_payer=True)
    await world.back_end(bank())
    base = {"policy": "card-3", "element": PHONE}
    parts = {
        "kiosk": {**base, "fields": {"pan": "6212142600000000050"}, "order": kiosk_order},
        "pc": {**base, "fields": {"expiry": "3012"}, "order": ORDER},
        "app": {**base, "fields": {"pan": PAN}, "order": ORDER},
    }
    for channel_id in arrival:
        assert None is (await send_part(world, world.members[channel_id], parts[channel_id])).joined
    last = {**base, "fields": {"pin_block": PIN_BLOCK}}
    joined = (await send_part(world, world.members["phone"], last)).joined
    assert joined is not None
    await carry(world.platform, joined)
    assert [WHOLE] == told(world)
    assert ["Tea House"] == [instruction.order.payee for instruction in world.connectors.sent()]


FIELDS = st.sampled_from(
    [{"pan": PAN}, {"pan": "6212142600000000050"}, {"expiry": "3012"}, {"expiry": "2901"}, {"pin_block": PIN_BLOCK}]
)
EVENTS = st.tuples(st.integers(0, 5), FIELDS, st.sampled_from([None, ORDER, OTHER_ORDER]))


@given(st.lists(EVENTS, min_size=3, max_size=14), st.sets(st.integers(0, 5), max_size=2))
@settings(max_examples=120, deadline=None)
def test_whatever_joins_is_of_one_piece(events: list[tuple[int, dict[str, str], Any]], proving: set[int]) -> None:
    async def run() -> None:
        world = await memory_platform()
        for n in range(6):
            # The channels 4 and 5 share one certificate.
            await world.channel(f"ch{n}", proves_payer=n in proving, certificate=f"certificate {min(n, 4)}")
        await world.back_end(bank())
        joins: list[str] = []
        for n, fields, order in events:
            content = {"policy": "card-3", "element": PHONE, "fields": fields, "order": order}
            try:
                joined = (await send_part(world, world.members[f"ch{n}"], content)).joined
            except SameChannel:
                continue
            if joined is not None:
                joins.append(joined)
                await assert_of_one_piece(world, joined)
        assert len(set(joins)) == len(joins)
        await world.clock.advance(RETRY_AFTER_MS)
        await retry_deliverable(world.platform)
        assert len(joins) == len(world.connectors.sent())

    asyncio.run(run())


async def assert_of_one_piece(world: MemoryPlatform, payment_id: str) -> None:
    """Show that a joined payment has one part for each field, of different channels, and one order (I3, I4)."""

    async def read(books: Any) -> tuple[Payment | None, list[Part]]:
        return await books.payment(payment_id), await books.sealed_parts(payment_id)

    payment, parts = await world.store.transact(read)
    assert payment is not None
    names = sorted(name for part in parts for name in part.fields - {"order"})
    assert ["expiry", "pan", "pin_block"] == names
    assert 3 == len({part.channel_id for part in parts}) == len({part.certificate for part in parts})
    orders = [open_values(part, world.epochs).order for part in parts]
    assert payment.order is not None
    assert all(order is None or order == payment.order for order in orders)
    assert payment.order in orders
