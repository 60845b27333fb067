"""What a serving process is told to do: by signals, and by its supervisor on standard input."""

import asyncio
import signal
from enum import StrEnum
from typing import IO, Final

from tallystick.service.worker_process import DRAIN


class Order(StrEnum):
    """What a process is told: by signals, or by its supervisor on standard input."""

    ROLL = "roll"
    DRAIN = "drain"
    LEAVE = "leave"


SIGNALS: Final = {signal.SIGTERM: Order.LEAVE, signal.SIGINT: Order.LEAVE, signal.SIGHUP: Order.ROLL}


class Told:
    """The orders to this process, one after the other."""

    def __init__(self) -> None:
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        for number, order in SIGNALS.items():
            asyncio.get_running_loop().add_signal_handler(number, self._orders.put_nowait, order)

    async def next(self) -> Order:
        """Wait for the next one."""
        return await self._orders.get()

    async def listen(self, supervisor: IO[str]) -> None:
        """Take the words of a supervisor as well; its end is the order to leave."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), supervisor)
        self._listening = asyncio.create_task(self._follow(reader))

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            if line == DRAIN:
                self._orders.put_nowait(Order.DRAIN)
        self._orders.put_nowait(Order.LEAVE)
