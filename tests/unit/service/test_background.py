"""Carriers: bounded, drained, and silent about the unforeseen."""

import asyncio

import pytest

from tallystick import limits
from tallystick.errors import StoreFailed, Unavailable
from tallystick.service import background
from tallystick.service.background import Carriers
from tallystick.testing.platform import MemoryPlatform, memory_platform


@pytest.fixture
async def world() -> MemoryPlatform:
    return await memory_platform()


def carry_by(monkeypatch: pytest.MonkeyPatch, verb: object) -> None:
    monkeypatch.setattr(background, "carry", verb)


async def test_every_started_payment_is_carried_and_drained(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried = []

    async def carry(_platform: object, payment_id: str) -> None:
        await asyncio.sleep(0)
        carried.append(payment_id)

    carry_by(monkeypatch, carry)
    carriers = Carriers(world.platform)
    for n in range(3):
        carriers.start(f"pay_{n}")
    await carriers.drain()
    assert ["pay_0", "pay_1", "pay_2"] == carried
    await carriers.drain()


async def test_a_full_house_refuses_before_acceptance_and_has_room_again_later(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def carry(_platform: object, _payment_id: str) -> None:
        await gate.wait()

    carry_by(monkeypatch, carry)
    carriers = Carriers(world.platform)
    for n in range(limits.PATHS_IN_FLIGHT_MAX):
        with carriers.room:
            carriers.start(f"pay_{n}")
    with pytest.raises(Unavailable), carriers.room:
        pass
    assert 1 == carriers.load()
    gate.set()
    await carriers.drain()
    with carriers.room:
        pass
    assert 0 == carriers.load()


async def test_parts_that_are_being_accepted_hold_their_places_so_that_no_more_come_in_than_can_be_carried(
    world: MemoryPlatform,
) -> None:
    carriers = Carriers(world.platform, payments_max=2)
    with carriers.room, carriers.room:
        with pytest.raises(Unavailable), carriers.room:
            pass
        assert 1 == carriers.load()
    assert 0 == carriers.load()


@pytest.mark.parametrize("failure", [StoreFailed("full"), RuntimeError("CANARY"), KeyError("CANARY")])
async def test_a_failure_is_left_to_the_sweep_and_nothing_unforeseen_is_shown(
    world: MemoryPlatform,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
) -> None:
    async def carry(_platform: object, _payment_id: str) -> None:
        raise failure

    carry_by(monkeypatch, carry)
    carriers = Carriers(world.platform)
    carriers.start("pay_1")
    await carriers.drain()
    assert "payment pay_1 is left to the sweep" in caplog.text
    assert "CANARY" not in caplog.text


async def test_what_is_late_at_the_end_is_cancelled(world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    async def carry(_platform: object, _payment_id: str) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    carry_by(monkeypatch, carry)
    monkeypatch.setattr(background, "STOP_GRACE_S", 0.01)
    carriers = Carriers(world.platform)
    carriers.start("pay_1")
    await carriers.drain()
    await asyncio.sleep(0)
    assert ["cancelled"] == ended
