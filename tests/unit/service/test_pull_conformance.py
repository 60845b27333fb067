"""The connector to back ends that fetch keeps the laws of connectors, with the sandbox behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from pull_world import PAN, World, open_world

from tallystick.adapters.connectors.pull import POLLED_MS, PullConnector
from tallystick.delivery.model import Instruction
from tallystick.testing.bench import Behaviour, Bench
from tallystick.testing.conformance import ConnectorConformance
from tallystick.testing.sandbox.pull_back_end import PullBackEnd

AMOUNTS = {
    Behaviour.APPROVE: 1_250,
    Behaviour.DECLINE: 1_251,
    Behaviour.SILENT: 109_901,
    Behaviour.LATE: 109_902,
    Behaviour.FORGED: 109_903,
    Behaviour.CUT: 109_904,
    Behaviour.GARBAGE: 109_905,
    Behaviour.TWICE: 109_907,
}


class PullBench:
    """One connector; its back end polls in a task of its own while it is plugged in."""

    secrets = (PAN,)
    patience_s = 3.0

    def __init__(self, world: World) -> None:
        self.lacks: dict[Behaviour, str] = {}
        self.world = world
        self.connector: PullConnector = world.connector()
        self.back_end: PullBackEnd = world.back_end()
        self._polling: asyncio.Task[None] | None = None

    async def instruction(self, behaviour: Behaviour) -> Instruction:
        return await self.world.instruction(AMOUNTS[behaviour])

    async def arrived(self, instruction: Instruction) -> int:
        return sum(
            entry["kind"] == "authorisation" and entry["payment_key"] == instruction.ids.key
            for entry in self.back_end._record.entries
        )

    async def effective(self, instruction: Instruction) -> int:
        own = [entry for entry in self.back_end._record.entries if entry.get("payment_key") == instruction.ids.key]
        return sum(bool(entry.get("effective")) for entry in own) - sum(bool(entry.get("undone")) for entry in own)

    async def unplug(self) -> None:
        """Stop polling, for longer than a back end may without being missed."""
        if self._polling is not None:
            self._polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._polling
        self.world.clock.offset += 2 * POLLED_MS

    async def plug_in(self) -> None:
        await self.back_end.poll(0)
        self._polling = asyncio.create_task(self.back_end.run())


class TestPullConnector(ConnectorConformance):
    def bench(self) -> AbstractAsyncContextManager[Bench]:
        return self._open()

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[Bench]:
        async with open_world() as world:
            bench = PullBench(world)
            await bench.plug_in()
            try:
                yield bench
            finally:
                await bench.connector.aclose()
                await bench.unplug()
                await bench.back_end.aclose()
