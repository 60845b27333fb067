"""Look at processes of this machine by /proc: who is whose child, and whether one is gone."""

import asyncio
import time
from pathlib import Path

GONE_WITHIN_S = 30.0  # s in which a process must end whose parent was killed: one that serves finishes what it carries


def command(pid: int) -> str:
    """Return the command line of a process; empty when it is gone, or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and those that they started."""
    try:
        own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return own + [far for child in own for far in descendants(child)]


def of(home: Path) -> list[int]:
    """Return every process whose command line names something in a directory."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [pid for pid in pids if str(home) in command(pid)]


async def survivors(pids: list[int], within_s: float = GONE_WITHIN_S) -> list[str]:
    """Wait until processes are gone; returns the command lines of those that are not."""
    deadline = time.monotonic() + within_s
    while True:
        left = [line for pid in pids if (line := command(pid))]
        if not left or time.monotonic() >= deadline:
            return left
        await asyncio.sleep(0.02)
