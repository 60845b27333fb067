"""Stretch passwords in processes of their own, a bounded number of them with a bounded queue.

One run takes some 20 ms of a core and 19 MiB. In the process that serves it would bound how many payments that process
carries; here it takes other cores, and less of them than whoever serves needs (`program.NICENESS`). A run depends on
nothing but what is asked, so it is simply repeated when its process dies.
"""

import asyncio
import contextlib
import os
from asyncio import IncompleteReadError
from asyncio.subprocess import Process
from collections.abc import Iterator
from typing import Final

import msgspec

from tallystick.adapters.helper import process as helper
from tallystick.adapters.helper.frames import frame
from tallystick.adapters.passwords import program
from tallystick.adapters.passwords.messages import MESSAGE_MAX, Answered, Failed, Stretch, answered
from tallystick.crypto.passwords import StretchedPassword
from tallystick.errors import FieldInvalid, Malformed, Misconfigured, Unavailable
from tallystick.runtime import Clock
from tallystick.secret import Secret
from tallystick.vault.ports import StretchOne

PLACES: Final = 64  # passwords stretched or waiting, for each process; the last of them waits some 1.5 s
START_S: Final = 10.0  # s for a start on a busy machine
ANSWER_S: Final = 20.0  # s for one run; it takes some 20 ms of a core that it may have to share with many
RUNS_MAX: Final = 5  # times a run is begun; each time its process died, or did not start
REST_S: Final = 0.5  # s before a run is begun again
ERRORS: Final = {each.__name__: each for each in (FieldInvalid, Malformed, Misconfigured)}
_BROKEN: Final = (TimeoutError, OSError, IncompleteReadError, msgspec.MsgspecError, Malformed)


def spare_cores() -> int:
    """Return how many cores this process may use beside the one it serves on, one at least."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


class PasswordProcesses:
    """Stretch passwords in at most `processes` processes (`vault.ports.Stretcher`); each is started when needed."""

    def __init__(self, clock: Clock, processes: int | None = None) -> None:
        self._clock = clock
        self._most = processes or spare_cores()
        self._free: list[Process] = []
        self._turns = asyncio.Semaphore(self._most)
        self._taken = 0
        self._closed = False

    @contextlib.contextmanager
    def place(self) -> Iterator[StretchOne]:
        """Take a place in the queue, and give what stretches one password; raises Unavailable when none is left."""
        if self._closed or self._taken >= self._most * PLACES:
            raise Unavailable("too many passwords wait to be checked")
        self._taken += 1
        try:
            yield self._stretch
        finally:
            self._taken -= 1

    async def aclose(self) -> None:
        """End the processes and take no more passwords."""
        self._closed = True
        while self._free:
            await helper.end(self._free.pop())

    async def _stretch(self, password: Secret, salt: bytes, parameters: str) -> StretchedPassword:
        question = frame(Stretch(password=password.reveal(), salt=salt.hex(), parameters=parameters))
        async with self._turns:
            for left in reversed(range(RUNS_MAX)):
                try:
                    answer = await self._run(question)
                except _BROKEN:
                    if left:
                        await self._clock.sleep(REST_S)
                else:
                    break
            else:
                raise Unavailable("no password process answers; try again")
        if isinstance(answer, Failed):
            raise ERRORS.get(answer.error, Misconfigured)(answer.detail)
        return StretchedPassword(bytes.fromhex(answer.stretched))

    async def _run(self, question: bytes) -> Answered:
        """Run once, in a process that is free or a new one; the process is ended unless it gave a whole answer."""
        if self._closed:
            raise Unavailable("no more passwords are checked: the platform stops")
        process = self._free.pop() if self._free else await _start()
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await _ask(process, question)
        except BaseException:  # a caller that went away leaves an answer nobody reads
            await helper.end(process)
            raise
        await self._put_back(process)
        return answer

    async def _put_back(self, process: Process) -> None:
        if self._closed:
            await helper.end(process)
        else:
            self._free.append(process)


async def _start() -> Process:
    process = await helper.start(program.__name__)
    try:
        async with asyncio.timeout(START_S):
            await _read(process)
    except BaseException:
        await helper.end(process)
        raise
    return process


async def _ask(process: Process, question: bytes) -> Answered:
    if process.stdin is None:
        raise OSError("no pipe")
    process.stdin.write(question)
    return await _read(process)


async def _read(process: Process) -> Answered:
    answer: Answered = answered.decode(await helper.read(process, MESSAGE_MAX))
    return answer
