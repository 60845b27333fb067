"""Readiness: red before requests are refused, and whatever goes wrong in a check is a reason against the process."""

import asyncio

import msgspec
import pytest
from starlette.routing import Router

from tallystick import limits
from tallystick.errors import StoreFailed, Unavailable
from tallystick.service import readiness
from tallystick.service.background import Carriers
from tallystick.service.probes import probes
from tallystick.service.readiness import Readiness
from tallystick.testing.asgi import ask
from tallystick.testing.platform import memory_platform


def begun(*loads: float) -> tuple[Readiness, list[float]]:
    held = list(loads)
    made = Readiness({}, tuple(lambda at=at: held[at] for at in range(len(held))))
    made.begin()
    return made, held


async def test_a_process_is_ready_once_its_listeners_accept_and_until_it_drains() -> None:
    made = Readiness({})
    assert ("starting",) == await made.faults()
    made.begin()
    assert () == await made.faults()
    made.drain()
    assert ("draining",) == await made.faults()


@pytest.mark.parametrize("failure", [StoreFailed("the disk is full"), RuntimeError("CANARY"), TimeoutError()])
async def test_whatever_a_check_raises_is_a_reason_and_nothing_of_it_is_shown(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> object:
        raise failure

    async def well() -> object:
        return None

    made = Readiness({"store": broken, "clock": well})
    made.begin()
    assert ("store",) == await made.faults()
    assert "CANARY" not in caplog.text


async def test_a_check_that_does_not_end_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "CHECK_S", 0.01)

    async def stuck() -> object:
        await asyncio.Event().wait()
        return None

    made = Readiness({"store": stuck})
    made.begin()
    assert ("store",) == await made.faults()


async def test_one_queue_above_its_high_water_mark_is_enough_and_all_have_to_sink_below_the_low_one() -> None:
    made, held = begun(0.1, 0.1)
    assert () == await made.faults()
    held[1] = limits.HIGH_WATER
    assert ("overloaded",) == await made.faults()
    held[1] = limits.LOW_WATER
    assert ("overloaded",) == await made.faults()
    held[1] = limits.LOW_WATER - 0.01
    assert () == await made.faults()
    held[0] = limits.HIGH_WATER - 0.01
    assert () == await made.faults()


async def test_a_process_says_that_it_is_full_while_it_still_takes_parts() -> None:
    world = await memory_platform()
    carriers = Carriers(world.platform, payments_max=8)
    made = Readiness({}, (carriers.load,))
    made.begin()
    told = []
    for _ in range(8):
        carriers.room.__enter__()
        told.append(await made.faults())
    with pytest.raises(Unavailable):
        carriers.room.__enter__()
    assert [()] * 5 + [("overloaded",)] * 3 == told


async def test_probes_tell_the_reasons_to_those_alone_who_may_know_them() -> None:
    async def faults() -> tuple[str, ...]:
        return found

    for told, shown in ((True, {"ready": False, "faults": ["overloaded"]}), (False, {"ready": False})):
        app = Router(probes(faults, told=told))
        found: tuple[str, ...] = ("overloaded",)
        answer = await ask(app, "GET", "/readyz")
        assert (503, shown) == (answer.status, msgspec.json.decode(answer.body))
        assert 200 == (await ask(app, "GET", "/livez")).status
        found = ()
        answer = await ask(app, "GET", "/readyz")
        assert (200, {"ready": True}) == (answer.status, msgspec.json.decode(answer.body))
