"""The processes of a benchmark: start them, and read what the kernel accounts to them and to their children."""

import asyncio
import contextlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
SERVER_CORE = 0
LOAD_CORE = 1


@dataclass
class Server:
    """A running server: one process, or a supervisor and its workers, with the helper processes of each."""

    pid: int
    port: int

    def family(self) -> list[int]:
        """Return the ids of the process and all its descendants that live."""
        return list(_descendants(self.pid))

    def cpu_s(self) -> float:
        """Return the user and system CPU time of the whole family so far."""
        return family_cpu_s(self.pid)

    def own_cpu_s(self) -> float:
        """Return the CPU time of the first process alone."""
        return _cpu_s(self.pid)

    def rss_kib(self) -> int:
        """Return the resident set of the first process; what children share with it is not counted twice."""
        return _status(self.pid, "VmRSS:")

    def family_rss_kib(self) -> int:
        """Return the resident sets of all processes; shared pages count each time."""
        return sum(_status(pid, "VmRSS:") for pid in self.family())

    def disk(self) -> tuple[int, int]:
        """Return the bytes that the first process had the disk read, and write, so far."""
        text = Path(f"/proc/{self.pid}/io").read_text()
        counts = dict(line.split(": ") for line in text.splitlines())
        return int(counts["read_bytes"]), int(counts["write_bytes"])

    def descriptors(self) -> int:
        """Count the open file descriptors of the whole family."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.family())


def family_cpu_s(pid: int) -> float:
    """Return the user and system CPU time so far of a process and its descendants that live."""
    return sum(_cpu_s(each) for each in _descendants(pid))


def _descendants(pid: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += children.get(one, [])


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _status(pid: int, name: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/status").read_text().partition(name)[2].split()[0])
    except (OSError, IndexError):
        return 0


@contextlib.asynccontextmanager
async def server(data: Path, what: str, *more: str) -> AsyncIterator[Server]:
    """Start bench/server.py, and stop it gracefully; the back end in this process goes on answering meanwhile."""
    process = await start("bench.server", str(data), what, *more)
    assert process.stdout is not None
    line = (await process.stdout.readline()).split()
    if len(line) != 2:
        raise RuntimeError(f"the server under measurement ended with {await process.wait()}")
    try:
        yield Server(process.pid, int(line[1]))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def start(module: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start one of our modules as a process whose output is read."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )


def circumstances() -> dict[str, Any]:
    """Say where, on what and how alone a measurement ran."""
    return {
        "machine": {"python": platform.python_version(), "cpu": cpu_name(), "cores": os.cpu_count()},
        "commit": commit(),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def cpu_name() -> str:
    """Name the processor."""
    info = Path("/proc/cpuinfo").read_text()
    return info.partition("model name")[2].partition(":")[2].partition("\n")[0].strip()


def commit() -> str:
    """Name the commit that was measured."""
    command = [shutil.which("git") or "git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - our words
