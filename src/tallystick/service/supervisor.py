"""Keep several processes that serve on shared sockets: start, replace, roll and drain them.

The supervisor holds no key, opens no store and takes no request of a payment: what it can lose is a process, never a
payment. One that ends by itself is started again after a rest that grows with each failure; what it was carrying is
recovered by the others. Nothing here is a process of the system: `Process` is, behind its port.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tallystick.errors import Misconfigured
from tallystick.runtime import Clock

REST_FIRST_S: Final = 0.2  # s before a process that ended by itself is started again; doubles with each failure
REST_MAX_S: Final = 30.0  # s it rests at most
SETTLED_MS: Final = 60_000  # ms a process lives until its earlier failures are forgotten
LOOK_EVERY_S: Final = 5.0  # s between two looks whether a process answers
HUNG_LOOKS: Final = 6  # looks without an answer in a row after which it is killed: its lease ran out before
END_MAX_S: Final = 90.0  # s a process may take to finish what is under way; longer than all graces within it together

LIVE: Final = "/livez"

_log = logging.getLogger(__name__)


class Process(Protocol):
    """One process that serves."""

    async def ready(self) -> None:
        """Return once it accepts requests; raises Misconfigured when it ended before, or takes too long."""
        ...

    async def ended(self) -> int:
        """Return its exit code once it has ended; any number may wait."""
        ...

    async def ask(self, path: str) -> bytes | None:
        """Return what its own metrics listener answers; None when no answer came in time."""
        ...

    def drain(self) -> None:
        """Tell it that the node ends: to say that it is not ready, to serve on for the shed delay, and to leave."""
        ...

    def leave(self) -> None:
        """Tell it to accept no more, to finish what is under way, and to end."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


Launch = Callable[[int], Awaitable[Process]]
"""Start the process of a seat, by its number from 1."""


@dataclass(slots=True)
class Held:
    """A seat and the process in it; `turn` is held while one is put there."""

    number: int
    process: Process | None = None
    since: int = 0
    failures: int = 0
    restarts: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisor:
    """Keep `count` processes until `stop`."""

    def __init__(self, launch: Launch, count: int, clock: Clock, *, shed_delay_s: float = 0.0) -> None:
        self._launch = launch
        self._clock = clock
        self._shed_delay_s = shed_delay_s
        self.seats = tuple(Held(number) for number in range(1, count + 1))
        self.stopping = False
        self._alive: set[Process] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rolls = asyncio.Event()

    async def start(self) -> None:
        """Start all processes; raises Misconfigured, with none left, when one does not come up.

        The first is ready before the others begin: what a new platform makes once, like keys, is there for them.
        """
        first, *others = self.seats
        try:
            await self._fill(first)
            async with asyncio.TaskGroup() as group:
                for seat in others:
                    group.create_task(self._fill(seat))
        except BaseException as failure:
            self.stopping = True
            for process in self._alive:
                process.kill()
            await asyncio.gather(*(process.ended() for process in self._alive))
            if isinstance(failure, ExceptionGroup):
                raise failure.exceptions[0] from None
            raise
        self._spawn(self._roll_whenever_asked())

    def roll(self) -> None:
        """Replace all processes, one by one, each by one that is ready before it leaves; asked twice, once more."""
        self._rolls.set()

    async def stop(self, hurry: asyncio.Event) -> bool:
        """Drain all processes and wait for their end; returns whether each ended in good order.

        Once `hurry` is set they no longer wait for balancers. What is not done within its time is killed: the next
        start, or another node, recovers it.
        """
        self.stopping = True
        await self._give_up_tasks()
        alive = tuple(self._alive)
        for process in alive:
            process.drain()
        hasten = asyncio.create_task(_hasten(hurry, alive))
        codes = await asyncio.gather(*(self._end(each, self._shed_delay_s + END_MAX_S) for each in alive))
        hasten.cancel()
        return not any(codes)

    async def _give_up_tasks(self) -> None:
        """End the watching and rolling; a process that is not ready yet is killed by whoever was waiting for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _fill(self, seat: Held) -> None:
        """Put a process into a seat; raises Misconfigured, with the seat as it was, when it does not come up."""
        process = await self._launch(seat.number)
        self._alive.add(process)
        try:
            await process.ready()
        except BaseException as failure:
            process.kill()
            await process.ended()
            self._alive.discard(process)
            if isinstance(failure, Misconfigured):
                raise Misconfigured(f"worker {seat.number} does not start: {failure.detail}") from failure
            raise
        seat.process, seat.since = process, self._clock.now()
        self._spawn(self._watch(seat, process))
        _log.info("worker %d is ready", seat.number)

    async def _watch(self, seat: Held, process: Process) -> None:
        """Start a process again that ended though nobody told it to, or was killed because it hung."""
        looking = asyncio.create_task(self._look_after(seat, process))
        try:
            code = await process.ended()
        finally:
            looking.cancel()
        self._alive.discard(process)
        if seat.process is not process or self.stopping:
            return
        lived = self._clock.now() - seat.since
        seat.process, seat.failures = None, 1 if lived >= SETTLED_MS else seat.failures + 1
        _log.error("worker %d ended by itself with code %d", seat.number, code)
        while seat.process is None:
            await self._clock.sleep(rest_s(seat.failures))
            await self._restart(seat)

    async def _look_after(self, seat: Held, process: Process) -> None:
        """Kill a process that answers no more: the connections it holds would wait for ever."""
        missed = 0
        while missed < HUNG_LOOKS:
            await self._clock.sleep(LOOK_EVERY_S)
            missed = 0 if await process.ask(LIVE) is not None else missed + 1
        _log.error("worker %d answers no more, and is killed", seat.number)
        process.kill()

    async def _restart(self, seat: Held) -> None:
        async with seat.turn:
            if seat.process is not None:
                return
            try:
                await self._fill(seat)
                seat.restarts += 1
            except Misconfigured as failure:
                seat.failures += 1
                _log.error("%s", failure.detail)

    async def _roll_whenever_asked(self) -> None:
        while True:
            await self._rolls.wait()
            self._rolls.clear()
            await self._roll()

    async def _roll(self) -> None:
        """Replace one after the other; stop at the first that does not come up: a release that is unfit ends nobody."""
        _log.info("replacing %d workers one by one", len(self.seats))
        for seat in self.seats:
            async with seat.turn:
                before = seat.process
                try:
                    await self._fill(seat)
                except Misconfigured as failure:
                    _log.error("no more workers are replaced: %s", failure.detail)
                    return
            if before is not None:
                before.leave()
                await self._end(before, END_MAX_S)
        _log.info("all workers are replaced")

    async def _end(self, process: Process, within_s: float) -> int:
        """Wait for a process's end, and make it end when it takes too long."""
        ended, late = asyncio.ensure_future(process.ended()), asyncio.ensure_future(self._clock.sleep(within_s))
        try:
            await asyncio.wait({ended, late}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                _log.error("a worker takes too long to end, and is killed")
                process.kill()
            return await ended
        finally:
            late.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def rest_s(failures: int) -> float:
    """Return how long a process rests after so many failures in a row, in s."""
    return min(REST_FIRST_S * 2.0 ** (failures - 1), REST_MAX_S)


async def _hasten(hurry: asyncio.Event, processes: tuple[Process, ...]) -> None:
    await hurry.wait()
    for process in processes:
        process.leave()
