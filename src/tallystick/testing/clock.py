"""Time and randomness that a test or a simulation holds in its hand."""

import asyncio
import heapq
import random

from tallystick.runtime import Millis

START = Millis(1_800_000_000_000)
"""Where a virtual clock begins when nothing else is said: 2027-01-15T08:00:00Z."""


class VirtualClock:
    """A clock that stands still until it is told to advance (`runtime.Clock`)."""

    def __init__(self, now: Millis = START) -> None:
        self._now = now
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._slept = 0

    def now(self) -> Millis:
        """Return the virtual time."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by `seconds`; whoever sleeps shorter, or began earlier, wakes first."""
        woken = asyncio.get_running_loop().create_future()
        self._slept += 1
        heapq.heappush(self._sleepers, (self._now + round(seconds * 1000), self._slept, woken))
        await woken

    async def advance(self, ms: int) -> None:
        """Move the time forward by `ms`; each sleeper wakes at its own moment and runs before the time goes on."""
        end = Millis(self._now + ms)
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            self._now = Millis(max(self._now, due))
            if not woken.done():
                woken.set_result(None)
            await asyncio.sleep(0)
        self._now = end


class SeededRandomness:
    """Randomness that is the same for the same seed (`runtime.Randomness`): never for a key that protects anything."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311  # predictable on purpose

    def token(self, size: int) -> bytes:
        """Return `size` bytes."""
        return self._random.randbytes(size)

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound)."""
        return self._random.randrange(bound)
