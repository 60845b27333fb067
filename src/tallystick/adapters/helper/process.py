"""A helper process as the one that starts it sees it."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process

from tallystick.adapters.helper.frames import LENGTH, body_length


async def start(module: str, *arguments: str) -> Process:
    """Start a module of ours without environment, spoken to by its pipes; raises OSError."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", module, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        start_new_session=True,  # Ctrl-C reaches the serving process only, which still drains
        env={},
    )


async def read(process: Process, most: int) -> bytes:
    """Read the body of one message; raises OSError, IncompleteReadError when none comes, Malformed beyond `most`."""
    if process.stdout is None:
        raise OSError("no pipe")
    head = await process.stdout.readexactly(LENGTH.size)
    return await process.stdout.readexactly(body_length(head, most))


async def end(process: Process) -> None:
    """Kill a process, and wait until it and its pipes are gone: it has nothing to finish."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with contextlib.suppress(OSError):
        await process.communicate()
