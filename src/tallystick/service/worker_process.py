"""A process that serves, as its supervisor sees it: started with sockets, told things by its standard input.

The interface is small, for a supervisor outlives releases of what it starts: the sockets by number in
`sockets.VARIABLE`, the seat in `SEAT`, `READY <port>` on standard output, `drain` or the end of standard input, and
`/readyz` and `/metrics` on the socket `metrics`.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from typing import Final, Protocol, Self

from tallystick.errors import Misconfigured
from tallystick.service import sockets

SEAT: Final = "TALLYSTICK_SEAT"  # the number of a process among those that share sockets
DRAIN: Final = b"drain\n"
READY: Final = b"READY "
READY_MAX_S: Final = 60.0  # s from start until a process accepts requests, on a busy machine


class Asker(Protocol):
    """Whoever asks a process of this machine over HTTP."""

    async def get(self, port: int, path: str) -> bytes | None:
        """Return the answer's body, whatever its status; None when none came in time."""
        ...


class WorkerProcess:
    """Implement `supervisor.Process` by a child of this process, in a session of its own: Ctrl-C reaches us only."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, asker: Asker) -> None:
        self._process = process
        self._port = port
        self._asker = asker

    @classmethod
    async def launch(
        cls, command: tuple[str, ...], seat: int, shared: Mapping[str, socket.socket], asker: Asker
    ) -> Self:
        """Start a process by its command line, with the sockets that all share and one for its own metrics."""
        with sockets.bind("127.0.0.1", 0) as own:
            handed = {**shared, "metrics": own}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *command),
                stdin=PIPE,
                stdout=PIPE,
                pass_fds=[each.fileno() for each in handed.values()],
                env={**os.environ, SEAT: str(seat), sockets.VARIABLE: sockets.hand_over(handed)},
                start_new_session=True,
            )
            return cls(process, sockets.port_of(own), asker)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    async def ready(self) -> None:
        """Read its output until it says READY; what comes after that is not read."""
        output = self._process.stdout
        try:
            async with asyncio.timeout(READY_MAX_S):
                async for line in output or ():  # type: ignore[union-attr]
                    if line.startswith(READY):
                        return
        except TimeoutError:
            raise Misconfigured("it takes too long to start; see its log") from None
        raise Misconfigured("it ended before it served; see its log")

    async def ended(self) -> int:
        """Return its exit code, or minus the number of the signal that ended it."""
        return await self._process.wait()

    async def ask(self, path: str) -> bytes | None:
        """Ask at the socket that it was given for that, on the loopback address."""
        return await self._asker.get(self._port, path)

    def drain(self) -> None:
        """Write the one word it knows."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._process.stdin.write(DRAIN)

    def leave(self) -> None:
        """End its standard input, as our own end would."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """Send SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
