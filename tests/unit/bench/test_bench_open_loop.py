"""The open loop charges a server for the time it stands still."""

import asyncio
from typing import Any

from bench import openloop
from bench.load import ACCEPTED, Payment

STALL_S = 0.3
RATE = 100.0
COUNT = 50


class Standing:
    """A connection to a server that stands still for a while, once, and else answers at once."""

    def __init__(self, turn: asyncio.Lock, stalls: list[float]) -> None:
        self._turn = turn
        self._stalls = stalls

    async def exchange(self, _message: bytes) -> int:
        async with self._turn:
            if self._stalls:
                await asyncio.sleep(self._stalls.pop())
        return ACCEPTED


def pool(stalls: list[float], connections: int) -> openloop.Pool:
    made, turn = openloop.Pool(None, 0), asyncio.Lock()  # type: ignore[arg-type]
    for _ in range(connections):
        made._free.put_nowait(Standing(turn, stalls))  # type: ignore[arg-type]
    return made


async def waits(stalls: list[float], connections: int) -> openloop.Waits:
    payments = [Payment(n + 1, b"one", b"two") for n in range(COUNT)]
    return await openloop.run(payments, pool(stalls, connections), pool([], COUNT), RATE, seed=1)


async def test_everybody_who_came_while_the_server_stood_still_waited() -> None:
    found = await waits([STALL_S], connections=1)
    slow = [ms for ms in found.answers_ms if ms > 20]
    assert len(slow) >= 0.5 * STALL_S * RATE  # a closed loop would have noted one
    assert found.refused == found.broken == 0


async def test_a_server_that_answers_at_once_makes_nobody_wait() -> None:
    found = await waits([], connections=1)
    assert len(found.answers_ms) == 2 * COUNT
    assert sorted(found.answers_ms)[COUNT] < 20


async def test_delivery_is_counted_from_when_part_two_was_due() -> None:
    found = await waits([], connections=1)
    acknowledged: dict[int, Any] = {amount: due + 5_000_000 for amount, due in found.due.items()}
    del acknowledged[COUNT]
    assert [5.0] * (COUNT - 1) == found.deliveries_ms(acknowledged)
