"""A merchant's own half, the receipts of parts, and refunds bound to them."""

import hashlib
from typing import Any

import msgspec
import pytest
from merchant_world import LINES, ORDER, PAN, PIN_BLOCK, MerchantWorld, read

from tallystick.channels.model import Scope
from tallystick.crypto.signing import Ed25519Private
from tallystick.errors import SignatureInvalid
from tallystick.path import carry
from tallystick.sdk.receipts import verify_receipt
from tallystick.testing.messages import send_part
from tallystick.wire.part import WireOrder

AGENT = frozenset({Scope.ORDER})


async def test_a_merchants_half_and_the_payers_half_make_the_whole(world: MerchantWorld) -> None:
    key = await world.key()
    created = await world.create(key)
    half = await world.send_half(key, created)
    element = {"kind": "code", "code": created["code"]}
    pin = {"policy": "card", "element": element, "fields": {"pin_block": PIN_BLOCK}}
    await send_part(world.memory, world.memory.members["phone"], pin, payment=created["id"], bound=world.bound(created))
    await carry(world.memory.platform, created["id"])
    assert 202 == half.status
    assert "approved" == read(await world.ask(key, "GET", f"/v1/payments/{created['id']}"))["state"]


@pytest.mark.parametrize("fields", [{"pin_block": PIN_BLOCK}, {"secret": "s3cret"}, {"password": "correct horse"}])
async def test_a_key_supplies_no_secret_that_proves_the_payer(world: MerchantWorld, fields: dict[str, str]) -> None:
    key = await world.key()
    policy = {"pin_block": "card", "secret": "account", "password": "login"}[min(fields)]
    created = await world.create(key, policy=policy)
    reply = await world.send_half(key, created, fields, policy=policy)
    assert (403, "field_not_allowed") == (reply.status, read(reply)["code"])


async def test_two_keys_of_one_holder_are_one_channel(world: MerchantWorld) -> None:
    first, second = await world.key(), await world.key()
    created = await world.create(first, policy="card-3")
    await world.send_half(first, created, {"pan": PAN}, policy="card-3")
    reply = await world.send_half(second, created, {"expiry": "3012"}, policy="card-3")
    assert (409, "same_channel") == (reply.status, read(reply)["code"])


async def test_a_half_signed_under_another_key_or_replayed_is_refused(world: MerchantWorld) -> None:
    key, other = await world.key(), await world.key()
    created = await world.create(key)
    await world.send_half(key, created)
    good = world.given
    assert 409 == (await world.give(key, good)).status
    assert 401 == (await world.give(other, good)).status


async def test_every_part_of_a_created_payment_gives_a_receipt_that_a_third_party_verifies(
    world: MerchantWorld,
) -> None:
    key = await world.key()
    created = await world.create(key, order={**ORDER, "lines": LINES})
    token = read(await world.send_half(key, created))["receipt"]
    proof = verify_receipt(token, world.memory.receipts.identity.public())
    assert (created["id"], "merchant:live:bookshop", ("expiry", "pan")) == (proof.payment, proof.channel, proof.fields)
    assert msgspec.convert(created["order"], WireOrder) == proof.order
    assert PAN not in token


async def test_a_receipt_that_was_altered_or_signed_by_another_proves_nothing(world: MerchantWorld) -> None:
    key = await world.key()
    token = read(await world.send_half(key, await world.create(key)))["receipt"]
    head, payload, signature = token.split(".")
    with pytest.raises(SignatureInvalid):
        verify_receipt(token, Ed25519Private().public())
    with pytest.raises(SignatureInvalid):
        verify_receipt(f"{head}.{payload[:-4]}AAAA.{signature}", world.memory.receipts.identity.public())


async def approved(world: MerchantWorld, key: str) -> dict[str, Any]:
    created = await world.create(key)
    await world.pay(created)
    return created


async def test_a_refund_is_bound_to_the_receipt_of_the_part_that_paid(world: MerchantWorld) -> None:
    key = await world.key()
    created = await approved(world, key)
    place = f"/v1/payments/{created['id']}/refunds"
    refund = read(await world.ask(key, "POST", place, {"amount": 250, "reason": "one cup broken"}))
    receipts = await world.memory.store.read(lambda books: books.receipts(created["id"]))
    paying = next(each for each in receipts if each.part_id == refund["part"])
    proof = verify_receipt(paying.token, world.memory.receipts.identity.public())
    assert hashlib.sha256(paying.token.encode()).hexdigest() == refund["receipt_sha256"]
    assert ("pan" in proof.fields, "recorded", 250) == (True, refund["state"], refund["amount"])
    assert [refund] == read(await world.ask(key, "GET", place))["data"]


async def test_refunds_never_exceed_what_was_paid(world: MerchantWorld) -> None:
    key = await world.key()
    place = f"/v1/payments/{(await approved(world, key))['id']}/refunds"
    await world.ask(key, "POST", place, {"amount": 1000})
    too_much = await world.ask(key, "POST", place, {"amount": 251})
    rest = await world.ask(key, "POST", place, {})
    nothing_left = await world.ask(key, "POST", place, {})
    assert [400, 201, 409] == [too_much.status, rest.status, nothing_left.status]
    assert 250 == read(rest)["amount"]


async def test_only_an_approved_payment_is_refunded(world: MerchantWorld) -> None:
    key = await world.key()
    created = await world.create(key)
    assert 409 == (await world.ask(key, "POST", f"/v1/payments/{created['id']}/refunds", {})).status
