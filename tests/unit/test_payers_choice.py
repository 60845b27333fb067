"""The payer's choice of a brand travels with the card number and decides where the payment goes."""

import pytest

from tallystick.assembly.policy import BUILT_IN, check_part, find, load
from tallystick.errors import FieldInvalid, FieldNotAllowed
from tallystick.path import carry
from tallystick.testing.messages import send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform

PAN = "4392250012345678"  # a co-badged range of the shipped set
ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY"}
BASE = {"policy": "card", "element": {"kind": "phone", "phone": "+8613800138000"}}
PIN = {**BASE, "fields": {"pin_block": "1412348F0A3B5C7D"}}


@pytest.fixture
async def world() -> MemoryPlatform:
    made = await memory_platform()
    for channel_id in ("pc", "phone"):
        await made.channel(channel_id)
    await made.back_end(bank("10000001", schemes=frozenset({"unionpay"})))
    await made.back_end(bank("10000002", schemes=frozenset({"visa"})))
    return made


async def paid_at(world: MemoryPlatform, **fields: str) -> list[str]:
    card = {**BASE, "fields": {"pan": PAN, **fields}, "order": ORDER}
    await send_part(world, world.members["pc"], card)
    accepted = await send_part(world, world.members["phone"], PIN)
    assert accepted.joined is not None
    await carry(world.platform, accepted.joined)
    return [name for name, connector in world.connectors.by_institution.items() if connector.instructions]


@pytest.mark.parametrize(
    ("fields", "back_end"),
    [
        ({}, "10000001"),
        ({"scheme": "visa"}, "10000002"),
        ({"scheme": "unionpay"}, "10000001"),
        ({"scheme": "jcb"}, "10000001"),
    ],
    ids=["no choice: the currency decides", "visa", "unionpay", "no brand of this card: ignored"],
)
async def test_a_co_badged_card_goes_by_the_brand_its_payer_chose(
    world: MemoryPlatform, fields: dict[str, str], back_end: str
) -> None:
    assert [back_end] == await paid_at(world, **fields)


async def test_a_channel_sends_a_choice_only_when_it_may(world: MemoryPlatform) -> None:
    narrow = await world.channel("narrow", {"pan", "order"})
    card = {**BASE, "fields": {"pan": PAN, "scheme": "visa"}, "order": ORDER}
    with pytest.raises(FieldNotAllowed):
        await send_part(world, narrow, card)


@pytest.mark.parametrize("wrong", ["", "v", "Ünion pay", "a" * 33])
async def test_a_choice_of_a_wrong_form_is_refused(world: MemoryPlatform, wrong: str) -> None:
    card = {**BASE, "fields": {"pan": PAN, "scheme": wrong}, "order": ORDER}
    with pytest.raises(FieldInvalid) as refusal:
        await send_part(world, world.members["pc"], card)
    assert "fields.scheme" == refusal.value.field


@pytest.mark.parametrize("policy", ["card", "card-3"])
def test_a_choice_comes_with_the_card_number_and_nowhere_else(policy: str) -> None:
    table = load(BUILT_IN)
    check_part(find(table, policy), frozenset({"pan", "scheme"}))
    with pytest.raises(FieldInvalid):
        check_part(find(table, policy), frozenset({"pin_block", "scheme"}))
