"""Open-loop load: payments begin when a Poisson clock says so, however long earlier ones take.

Latency is counted from the moment a message was meant to be sent, not from when a free connection was found: a server
that stands still for a second is charged for everybody who would have come in that second (no coordinated omission).
Part two of a payment is due a fixed time after part one, whether or not that one was answered by then.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.figures import arrivals
from bench.load import ACCEPTED, Connection, Payment
from tallystick.sdk.settings import Profile

BETWEEN_PARTS_S = 0.1
CONNECTIONS = 64
LEAD_S = 0.2
LOST_ERRORS = (OSError, asyncio.IncompleteReadError)


@dataclass
class Waits:
    """What an open-loop run measured: waits in ms, `due` is when each second part was meant to be sent (ns)."""

    answers_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    due: dict[int, int] = field(default_factory=dict)
    refused: int = 0
    broken: int = 0

    def deliveries_ms(self, acknowledged: dict[int, int]) -> list[float]:
        """Return the waits from when part two was meant to be sent to the back end's acknowledgement."""
        return [(acknowledged[amount] - due) / 1e6 for amount, due in self.due.items() if amount in acknowledged]


class Pool:
    """Open connections of one channel; the one that was used longest ago comes first, so that none idles out."""

    def __init__(self, profile: Profile, port: int) -> None:
        self._profile = profile
        self._port = port
        self._free: asyncio.Queue[Connection] = asyncio.Queue()

    async def open(self, count: int = CONNECTIONS) -> None:
        """Connect `count` times."""
        for _ in range(count):
            connection = Connection(self._profile, self._port)
            await connection.open()
            self._free.put_nowait(connection)

    async def exchange(self, message: bytes, due: float, waits: Waits) -> None:
        """Send a message on the next free connection and note how it went."""
        connection = await self._free.get()
        waits.late_ms.append((time.monotonic() - due) * 1e3)
        try:
            status = await connection.exchange(message)
        except LOST_ERRORS:
            waits.broken += 1
            connection = Connection(self._profile, self._port)
            await connection.open()
        else:
            waits.answers_ms.append((time.monotonic() - due) * 1e3)
            waits.refused += status != ACCEPTED
        self._free.put_nowait(connection)

    async def close(self) -> None:
        """Close all connections."""
        while not self._free.empty():
            with contextlib.suppress(*LOST_ERRORS):
                await self._free.get_nowait().close()


async def run(payments: Sequence[Payment], pc: Pool, phone: Pool, rate: float, seed: int) -> Waits:
    """Begin `rate` payments a second; returns when every part is answered."""
    waits, loop = Waits(), asyncio.get_running_loop()
    began = time.monotonic() + LEAD_S
    source = random.Random(seed)  # noqa: S311 - a repeatable schedule, no secret
    exchanges: list[asyncio.Task[None]] = []

    def send(pool: Pool, message: bytes, due: float) -> None:
        exchanges.append(loop.create_task(pool.exchange(message, due, waits)))

    ahead = loop.time() - time.monotonic()
    for payment, after in zip(payments, arrivals(rate, len(payments), source), strict=True):
        first = began + after
        second = first + BETWEEN_PARTS_S
        waits.due[payment.amount] = int(second * 1e9)
        loop.call_at(first + ahead, send, pc, payment.first, first)
        loop.call_at(second + ahead, send, phone, payment.second, second)
    last = max(waits.due.values()) / 1e9
    await asyncio.sleep(max(0.0, last - time.monotonic()) + BETWEEN_PARTS_S)
    await asyncio.gather(*exchanges)
    return waits
