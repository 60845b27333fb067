"""Run several processes that serve on the sockets of one platform's settings."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from tallystick.adapters.loopback import LoopbackAsker
from tallystick.bootstrap import metrics
from tallystick.bootstrap.listeners import places
from tallystick.config import Settings
from tallystick.errors import Misconfigured
from tallystick.runtime import SystemClock
from tallystick.service import sockets
from tallystick.service.node import NodeDesk
from tallystick.service.server import Listener
from tallystick.service.supervisor import Supervisor
from tallystick.service.worker_process import WorkerProcess

BIND_TRIES: Final = 50  # tries to bind an address that processes of a supervisor that was killed are just giving up
BIND_PAUSE_S: Final = 0.1  # s between two of them


@dataclass(frozen=True, slots=True)
class Supervised:
    """A node whose processes serve."""

    supervisor: Supervisor
    port: int


@contextlib.asynccontextmanager
async def supervising(settings: Settings, command: tuple[str, ...], count: int) -> AsyncIterator[Supervised]:
    """Bind every listener, start `count` processes by their command line on them, and tell of them.

    The caller stops the supervisor before the context ends. Raises Misconfigured when an address cannot be bound, or a
    process does not come up.
    """
    with contextlib.ExitStack() as bound:
        shared = {name: bound.enter_context(await _bind(*place)) for name, place in places(settings).items()}

        asker = LoopbackAsker()

        async def launch(seat: int) -> WorkerProcess:
            return await WorkerProcess.launch(command, seat, shared, asker)

        supervisor = Supervisor(launch, count, SystemClock(), shed_delay_s=settings.serve.shed_delay_s)
        own = metrics.bind(settings.metrics)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(asker.aclose)
            if own is not None:
                await stack.enter_async_context(Listener(NodeDesk(supervisor).app(), bound=own, context=None))
            await supervisor.start()
            yield Supervised(supervisor, sockets.port_of(shared["gateway"]))


async def _bind(host: str, port: int) -> socket.socket:
    for _ in range(BIND_TRIES):
        try:
            return sockets.bind(host, port)
        except Misconfigured:
            await asyncio.sleep(BIND_PAUSE_S)
    return sockets.bind(host, port)
