"""Child processes of the demo: start, wait until ready, stop."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tallystick.errors import Misconfigured

READY_TIMEOUT_S: Final = 60.0  # s a child may take to listen; two do, but for a machine that is busy with other things
STOP_TIMEOUT_S: Final = 30.0  # s a child may take to end after SIGTERM


class Child:
    """One child process that prints `READY <port>` when it listens; what it says else goes to its log file.

    `more` is added to its environment.
    """

    def __init__(self, name: str, arguments: list[str], log: Path, more: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.port = 0
        self._arguments = arguments
        self._log = log
        self._more = more or {}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def start(self) -> int:
        """Start and wait until it listens; returns its port. Raises Misconfigured when it does not come up."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *self._arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self._more},
            )
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                self.port = await self._ready()
        except TimeoutError:
            await self.stop()
            raise Misconfigured(f"{self.name} did not come up in time; see {self._log.name}") from None
        return self.port

    async def stop(self) -> None:
        """Ask it to end, then make it."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _ready(self) -> int:
        stdout = self._process.stdout if self._process else None
        while stdout is not None and (line := await stdout.readline()):
            word, _, port = line.decode().strip().partition(" ")
            if word == "READY":
                return int(port)
        raise Misconfigured(f"{self.name} ended before it listened; see {self._log.name}")
