"""The courier: bounded, fair to each endpoint, and not stopped by anything."""

import asyncio
import contextlib

import pytest
from outcome_world import APPROVED, DELIVERING, World

from tallystick.errors import StoreFailed
from tallystick.outcomes import courier as module
from tallystick.outcomes.courier import DEAD_KEPT_MS, EACH_MAX, EVENTS_KEPT_MS, IN_FLIGHT_MAX, Courier
from tallystick.outcomes.endpoints import disable
from tallystick.outcomes.ports import Posted


class Gated:
    """Hold every answer from an address in `closed` until the gate opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.closed: set[str] = set()
        self.came: list[str] = []

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Posted:
        self.came.append(url)
        if url in self.closed:
            await self.gate.wait()
        return Posted(200)


def courier_of(world: World) -> Courier:
    return Courier(world.store, world.sender, world.clock, world.randomness)


async def approve(world: World, *payments: str, owner: str = "shop") -> None:
    for payment_id in payments:
        await world.payment(payment_id, owner=owner)
        await world.move(DELIVERING, APPROVED, payment_id)


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_round_announces_what_is_new_and_sends_it(world: World) -> None:
    made = await world.endpoint()
    await approve(world, "pay_1", "pay_2")
    courier = courier_of(world)
    await courier.round(1)
    await courier.drain()
    assert ["pay_1", "pay_2"] == [message.data.payment for message in world.received(made)]
    assert [] == await world.waiting()


async def test_an_endpoint_that_hangs_holds_up_no_other_one(world: World) -> None:
    slow = await world.endpoint("pc", "https://slow.example/")
    quick = await world.endpoint("shop", "https://quick.example/")
    world.receiver = gated = Gated()
    gated.closed.add(slow.endpoint.url)
    await approve(world, *(f"pay_slow_{n}" for n in range(3 * EACH_MAX)), owner="pc")
    await approve(world, *(f"pay_{n}" for n in range(EACH_MAX)))
    courier = courier_of(world)
    for number in range(1, 4):
        await courier.round(number)
        await settle()
    assert EACH_MAX == gated.came.count(slow.endpoint.url)
    assert EACH_MAX == gated.came.count(quick.endpoint.url)
    gated.gate.set()
    await courier.drain()


async def test_no_more_are_under_way_than_the_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT_MAX", 3)
    assert IN_FLIGHT_MAX > EACH_MAX
    made = await world.endpoint()
    world.receiver = gated = Gated()
    gated.closed.add(made.endpoint.url)
    await approve(world, *(f"pay_{n}" for n in range(10)))
    courier = courier_of(world)
    for number in (1, 2):
        await courier.round(number)
        await settle()
    assert 3 == len(gated.came)
    gated.gate.set()
    await courier.drain()


async def test_what_is_late_at_the_end_is_cancelled_and_stays_for_the_next_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_GRACE_S", 0.01)
    made = await world.endpoint()
    world.receiver = gated = Gated()
    gated.closed.add(made.endpoint.url)
    await approve(world, "pay_1")
    courier = courier_of(world)
    await courier.round(1)
    await settle()
    await courier.drain()
    await settle()
    assert 1 == len(await world.waiting())
    assert not courier._sending


@pytest.mark.parametrize("failure", [StoreFailed("full"), RuntimeError("CANARY")])
async def test_a_round_that_fails_is_told_and_followed_by_others(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    made = await world.endpoint()
    await approve(world, "pay_1")
    whole, failures = module.announce, [failure]

    async def announce(*arguments: object) -> int:
        if failures:
            raise failures.pop()
        return await whole(*arguments)

    monkeypatch.setattr(module, "announce", announce)
    courier = courier_of(world)
    running = asyncio.create_task(courier.run())
    for _ in range(3):
        await settle()
        await world.clock.advance(1_000)
    await settle()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await courier.drain()
    assert 1 == len(world.received(made))
    assert "a round of the courier failed" in caplog.text
    assert "CANARY" not in caplog.text


async def test_a_send_that_fails_unforeseen_is_logged_without_its_text(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.endpoint()
    await approve(world, "pay_1")
    world.receiver.script = [RuntimeError("CANARY")]
    courier = courier_of(world)
    await courier.round(1)
    await courier.drain()
    await settle()
    assert "RuntimeError" in caplog.text
    assert "CANARY" not in caplog.text


async def test_old_events_and_dead_letters_are_purged(world: World) -> None:
    made = await world.endpoint()
    await approve(world, "pay_1", "pay_2")
    await world.announce()
    await disable(world.store, made.endpoint.id)
    courier = courier_of(world)
    await world.clock.advance(EVENTS_KEPT_MS + 1)
    await courier.round(0)
    assert 1 == len(await world.store.read(lambda books: books.events_after(0, 10)))
    assert 2 == len(await world.dead())
    await world.clock.advance(DEAD_KEPT_MS)
    await courier.round(0)
    assert [] == await world.dead()
