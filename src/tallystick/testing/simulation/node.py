"""A node that can die at any await: its tasks, its clock, and the store as it sees it.

A node that died does nothing any more: each of its tasks ends where it stands, and whatever one still tries on its way
out reaches neither the store nor the network. What was committed stays.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from tallystick.errors import StoreFailed, Unavailable
from tallystick.runtime import Millis
from tallystick.testing.memory_store import MemoryBooks, MemoryStore
from tallystick.testing.simulation.faults import Faults
from tallystick.testing.simulation.loop import SimulatedLoop

T = TypeVar("T")

DIES_BEFORE: Final = "node dies before a commit"
DIES_AFTER: Final = "node dies after a commit"
DIES_ASLEEP: Final = "node dies in a wait"
STORE_REFUSES: Final = "store refuses a transaction"
STORE_FORGETS: Final = "store loses the answer after a commit"
STORE_FULL: Final = "store is full for a time"
STORE_BUSY: Final = "store has no room for a transaction"
STORE_SLOW: Final = "store is slow"
READ_FAILS: Final = "store cannot be read"
STORE_FAULTS: Final = {
    DIES_BEFORE: 0.002,
    DIES_AFTER: 0.002,
    DIES_ASLEEP: 0.002,
    STORE_REFUSES: 0.01,
    STORE_FORGETS: 0.01,
    STORE_FULL: 0.001,
    STORE_BUSY: 0.005,
    STORE_SLOW: 0.02,
    READ_FAILS: 0.005,
}
"""The usual rate of each fault of this module, by its name."""

FULL_S: Final = 20.0  # s a full disk stays full at most
SLOW_S: Final = 8.0  # s a transaction waits at most

_node: ContextVar["Node | None"] = ContextVar("node", default=None)


class Node:
    """One process of a platform; `ahead_ms` is how far its clock is ahead of the true time."""

    def __init__(self, name: str, loop: SimulatedLoop, faults: Faults, *, ahead_ms: int = 0) -> None:
        self.name = name
        self.loop = loop
        self.faults = faults
        self.ahead_ms = ahead_ms
        self.alive = True
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run `work` as a task of this node; the tasks that it starts are this node's, too."""
        before = _node.set(self)
        try:
            return self.loop.create_task(work)
        finally:
            _node.reset(before)

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Count a task among those that die with the node."""
        self._tasks[task] = None
        task.add_done_callback(self._drop)

    def die(self, why: str) -> None:
        """End everything that this node does; the caller, if it is one of its tasks, goes on to `require_alive`."""
        if not self.alive:
            return
        self.alive = False
        self.faults.note("node died", self.name, why)
        for task in list(self._tasks):
            task.cancel()

    def require_alive(self) -> None:
        """End the running task when its node is dead."""
        if not self.alive:
            raise asyncio.CancelledError

    def maybe_die(self, fault: str) -> None:
        """Die here when the fault strikes."""
        self.require_alive()
        if self.faults.strikes(fault):
            self.die(fault)
            raise asyncio.CancelledError

    def _drop(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)


def of_node(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], **options: Any) -> "asyncio.Task[T]":
    """Make a task that dies with the node it was started on; a task factory for `SimulatedLoop`."""
    task = asyncio.Task(work, loop=loop, **options)
    if (node := _node.get()) is not None:
        node.keep(task)
    return task


class NodeClock:
    """The clock of a node (`runtime.Clock`): ahead or behind, and late where `oversleep` says so."""

    def __init__(self, node: Node, oversleep: Callable[[float], float]) -> None:
        self._node = node
        self._oversleep = oversleep

    def now(self) -> Millis:
        """Return the time as this node has it."""
        return Millis(self._node.loop.millis() + self._node.ahead_ms)

    async def sleep(self, seconds: float) -> None:
        """Wait, as long as `oversleep` makes of it."""
        self._node.maybe_die(DIES_ASLEEP)
        await asyncio.sleep(self._oversleep(seconds))
        self._node.require_alive()


class NodeStore:
    """The common store as one node reaches it (`delivery.books.Store`); `committed` is called after each commit."""

    def __init__(self, inner: MemoryStore, node: Node, committed: Callable[[Node], None]) -> None:
        self._inner = inner
        self._node = node
        self._committed = committed
        self._full_until = 0.0

    async def transact(self, work: Callable[[MemoryBooks], Awaitable[T]]) -> T:
        """Run `work` as one transaction, unless a fault prevents it, or hides that it was done."""
        node, faults = self._node, self._node.faults
        node.require_alive()
        if faults.strikes(STORE_SLOW):
            await asyncio.sleep(faults.between(0, SLOW_S))
        if faults.strikes(STORE_BUSY):
            raise Unavailable("too many transactions wait")
        if faults.strikes(STORE_FULL):
            self._full_until = node.loop.time() + faults.between(0, FULL_S)
        if faults.strikes(STORE_REFUSES) or (not faults.over and node.loop.time() < self._full_until):
            await asyncio.sleep(0)
            raise StoreFailed("the disk is full")
        node.maybe_die(DIES_BEFORE)
        result = await self._inner.transact(work)
        self._committed(node)
        node.maybe_die(DIES_AFTER)
        if faults.strikes(STORE_FORGETS):
            raise StoreFailed("the answer to a commit did not come")
        await asyncio.sleep(0)
        return result

    async def read(self, work: Callable[[MemoryBooks], Awaitable[T]]) -> T:
        """Run `work`, which only reads, unless a fault prevents it."""
        self._node.require_alive()
        if self._node.faults.strikes(READ_FAILS):
            raise StoreFailed("the store cannot be read")
        return await self._inner.read(work)

    async def aclose(self) -> None:
        """Leave the common store open for the others."""
