"""Test mode: halves played by the platform, outcomes by magic values, time moved on; and never for a live payment."""

from typing import Any

import pytest
from merchant_world import MerchantWorld, read

from tallystick.adapters.connectors.magic import MagicConnector, decode_settings
from tallystick.errors import Misconfigured
from tallystick.testing.platform import bank


@pytest.fixture
async def test_key(world: MerchantWorld) -> str:
    sandbox = bank("30000001", sandbox=True, connector="test", schemes=frozenset({"test", "visa", "unionpay"}))
    await world.memory.back_end(sandbox, MagicConnector())  # type: ignore[arg-type]  # a connector like any other
    return await world.key(live=False)


async def play(world: MerchantWorld, key: str, created: dict[str, Any], **asked: str) -> dict[str, Any]:
    reply = await world.ask(key, "POST", f"/v1/test/payments/{created['id']}/pay", asked)
    assert 200 == reply.status, reply.body
    await world.carriers.drain()
    return read(await world.ask(key, "GET", f"/v1/payments/{created['id']}"))


@pytest.mark.parametrize("policy", ["card", "card-3", "account"])
@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("approve", ("approved", "00")),
        ("decline", ("declined", "51")),
        ("wrong_secret", ("declined", "55")),
        ("unknown", ("approved", "00")),
        ("away", ("joined", None)),
    ],
)
async def test_both_halves_are_played_in_one_call_and_end_as_asked(
    world: MerchantWorld, test_key: str, policy: str, outcome: str, expected: tuple[str, str | None]
) -> None:
    created = await world.create(test_key, policy=policy)
    ended = await play(world, test_key, created, outcome=outcome)
    assert (*expected, False) == (ended["state"], ended["response_code"], ended["livemode"])


async def test_one_half_is_played_and_the_other_one_sent(world: MerchantWorld, test_key: str) -> None:
    created = await world.create(test_key)
    await world.send_half(test_key, created)
    assert "approved" == (await play(world, test_key, created, parts="second"))["state"]


async def test_a_repeat_plays_no_half_again(world: MerchantWorld, test_key: str) -> None:
    created = await world.create(test_key)
    target = f"/v1/test/payments/{created['id']}/pay"
    for _ in range(2):
        reply = await world.ask(test_key, "POST", target, {"parts": "first"}, idem="play-1")
    assert (1, False) == (read(reply)["parts"], read(reply)["contested"])


async def test_time_goes_by_for_one_payment_alone(world: MerchantWorld, test_key: str) -> None:
    first, second = await world.create(test_key), await world.create(test_key)
    place = f"/v1/test/payments/{first['id']}/advance"
    nearer = read(await world.ask(test_key, "POST", place, {"seconds": 60}))
    over = read(await world.ask(test_key, "POST", place, {"seconds": 900}))
    again = await world.ask(test_key, "POST", place, {"seconds": 1})
    assert first["expires_at"] - 60_000 == nearer["expires_at"]
    assert ("open", "expired", 409) == (nearer["state"], over["state"], again.status)
    assert "open" == read(await world.ask(test_key, "GET", f"/v1/payments/{second['id']}"))["state"]


async def test_nothing_of_test_mode_is_for_a_live_key(world: MerchantWorld) -> None:
    live = await world.key()
    created = await world.create(live)
    for what, content in (("pay", {}), ("advance", {"seconds": 1})):
        assert 403 == (await world.ask(live, "POST", f"/v1/test/payments/{created['id']}/{what}", content)).status
    assert [] == world.memory.connectors.sent()


async def test_a_policy_without_magic_values_is_refused(world: MerchantWorld, test_key: str) -> None:
    created = await world.create(test_key, policy="login")
    reply = await world.ask(test_key, "POST", f"/v1/test/payments/{created['id']}/pay", {})
    assert (400, "policy") == (reply.status, read(reply)["param"])


def test_the_connector_of_test_mode_has_no_settings() -> None:
    decode_settings(b'{"mode": "test"}')
    with pytest.raises(Misconfigured):
        decode_settings(b'{"host": "bank.example"}')
