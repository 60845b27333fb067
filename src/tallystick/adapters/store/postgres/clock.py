"""The database's clock, so that every node judges an expiry alike, whatever its own machine's clock says.

Asking for the time in each transaction would cost a round trip. A node measures instead, every few seconds, how far the
database's clock is from its own monotonic one, and adds that: the error is at most half of the round trip plus what two
oscillators drift apart until the next measurement.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from tallystick.errors import StoreFailed, TallystickError, Unavailable
from tallystick.runtime import Millis, beside

MEASURE_EVERY_S: Final = 5.0  # s between two measurements
LOOKS: Final = 3  # questions of one measurement; the quickest answer counts
ERROR_MAX_MS: Final = 250.0  # ms; an answer that took twice as long tells nothing
AGE_MAX_S: Final = 300.0  # s after which a measurement no longer counts: 100 ppm of drift are then 30 ms

_log = logging.getLogger(__name__)


class DatabaseClock:
    """Implement `runtime.Clock` by the database's time; `ask` returns that time, `monotonic` is the machine's, in s."""

    def __init__(self, ask: Callable[[], Awaitable[Millis]], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._offset_ms = 0.0
        self._error_ms = 0.0
        self._measured_at: float | None = None
        self._last = 0

    @property
    def error_ms(self) -> float:
        """Return how far off the last measurement may be, in ms."""
        return self._error_ms

    @property
    def known(self) -> bool:
        """Say whether the time was measured lately."""
        return self._measured_at is not None and self._monotonic() - self._measured_at <= AGE_MAX_S

    def now(self) -> Millis:
        """Return the current time, which never goes back; raises Unavailable when it was not measured lately."""
        if not self.known:
            raise Unavailable("the database's clock is not known")
        self._last = max(self._last, int(self._monotonic() * 1_000 + self._offset_ms))
        return Millis(self._last)

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)

    async def measure(self) -> None:
        """Ask for the time; raises StoreFailed when no answer came soon enough to tell it."""
        looks = []
        for _ in range(LOOKS):
            began = self._monotonic()
            there = await self._ask()
            ended = self._monotonic()
            looks.append(((ended - began) * 500, there - (began + ended) * 500))
        error, offset = min(looks)
        if error > ERROR_MAX_MS:
            raise StoreFailed("the database answers too slowly to tell the time")
        self._error_ms, self._offset_ms, self._measured_at = error, offset, self._monotonic()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Measure now, and again every few seconds; raises StoreFailed when it cannot be measured now."""
        await self.measure()
        async with beside(self._keep_measuring()):
            yield

    async def _keep_measuring(self) -> None:
        while True:
            await self.sleep(MEASURE_EVERY_S)
            try:
                await self.measure()
            except TallystickError as error:
                _log.warning("the database's clock was not measured: %s", error)
