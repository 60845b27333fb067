"""The loop, the faults and the nodes of the simulation by themselves."""

import asyncio

import pytest

from tallystick.errors import StoreFailed
from tallystick.runtime import Millis
from tallystick.testing.memory_store import MemoryStore
from tallystick.testing.simulation.faults import Faults, choices
from tallystick.testing.simulation.loop import NothingLeft, SimulatedLoop, run
from tallystick.testing.simulation.node import STORE_FAULTS, STORE_FORGETS, Node, NodeStore, of_node


def loop_of(seed: int = 0) -> SimulatedLoop:
    loop = SimulatedLoop(choices(seed, "turns"), Millis(0))
    loop.set_task_factory(of_node)
    return loop


def order_of(seed: int) -> list[int]:
    order: list[int] = []

    async def main() -> None:
        async def turn(number: int) -> None:
            await asyncio.sleep(0)
            order.append(number)

        await asyncio.gather(*map(turn, range(6)))

    run(main(), loop_of(seed))
    return order


def test_a_day_passes_at_once() -> None:
    loop = loop_of()
    run(asyncio.sleep(86_400.5), loop)
    assert loop.millis() == 86_400_500


def test_the_seed_chooses_who_runs_next() -> None:
    assert order_of(1) == order_of(1)
    assert len({tuple(order_of(seed)) for seed in range(20)}) > 10


def test_a_world_in_which_nobody_can_go_on_says_so() -> None:
    loop = loop_of()
    with pytest.raises(NothingLeft):
        run(asyncio.wait_for(loop.create_future(), None), loop)


def test_a_dead_node_does_nothing_more_not_even_on_its_way_out() -> None:
    loop = loop_of()
    store, done = MemoryStore(), []

    async def main() -> None:
        node = Node("one", loop, Faults(0, dict.fromkeys(STORE_FAULTS, 0.0)))
        reached = NodeStore(store, node, lambda _: None)

        async def work() -> None:
            try:
                await asyncio.sleep(10)
            finally:
                await reached.transact(lambda books: books.next_stan("bank", "hour"))
                done.append("committed by a dead node")

        task = node.spawn(work())
        await asyncio.sleep(1)
        node.die("a test")
        await asyncio.wait([task])
        assert await store.transact(lambda books: books.next_stan("bank", "hour")) == 1

    run(main(), loop)
    assert done == []


def test_a_store_that_loses_its_answer_has_committed() -> None:
    loop = loop_of()

    async def main() -> None:
        faults = next(
            f
            for f in (Faults(s, {**dict.fromkeys(STORE_FAULTS, 0.0), STORE_FORGETS: 1.0}) for s in range(99))
            if f.strikes(STORE_FORGETS)
        )
        store = MemoryStore()
        reached = NodeStore(store, Node("one", loop, faults), lambda _: None)
        with pytest.raises(StoreFailed):
            await reached.transact(lambda books: books.next_stan("bank", "hour"))
        assert await store.transact(lambda books: books.next_stan("bank", "hour")) == 2

    run(main(), loop)
