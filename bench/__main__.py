"""Measure the whole path against its floor: `make bench` writes bench/results/latest.json.

The server is one process pinned to core 0; load generator and back end share another core, and their own CPU time does
not count. CPU times are what the kernel accounts to the server process, so a noisy neighbour shifts them little.
`python -m bench --soak 100000` instead watches the server's memory over that many payments.
"""

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import os
import platform
import pstats
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from bench import load
from bench.world import World, world

RESULTS = Path(__file__).parent / "results"
LOAD_CORE = 1
PAYMENTS = 3_000
WARM_UP = 600
WORKERS = 32
ECHOES = 20_000
TICKS = os.sysconf("SC_CLK_TCK")
PERCENT = 100


@dataclass
class Server:
    """A running server process."""

    pid: int
    port: int

    def cpu_s(self) -> float:
        """Return user and system CPU time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_kib(self) -> int:
        """Return the resident set size."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


@contextlib.asynccontextmanager
async def server(data: Path, what: str, *more: str) -> AsyncIterator[Server]:
    """Start bench/server.py, and stop it gracefully; the back end in this process goes on answering meanwhile."""
    process = await start("bench.server", str(data), what, *more)
    assert process.stdout is not None
    yield Server(process.pid, int((await process.stdout.readline()).split()[1]))
    process.terminate()
    await process.wait()


async def measure_payments(made: World, under: Server, count: int, numbers: "itertools.count[int]") -> dict[str, float]:
    """Warm up, then send `count` payments at full speed."""
    pc, phone = made.profile("pc", under.port), made.profile("phone", under.port)
    keys = await load.held_keys(pc)
    for_warm_up = await asyncio.to_thread(load.prepare, pc, phone, keys, numbers, WARM_UP)
    payments = await asyncio.to_thread(load.prepare, pc, phone, keys, numbers, count)
    pairs = await load.connect(pc, phone, under.port, WORKERS)
    await load.run(for_warm_up, pairs)
    await all_acknowledged(made, for_warm_up)
    cpu, began = under.cpu_s(), time.monotonic_ns()
    done = await load.run(payments, pairs)
    await all_acknowledged(made, payments)
    last = max(made.back_end.acknowledged[payment.amount] for payment in payments)
    cpu_us = (under.cpu_s() - cpu) / count * 1e6
    assert done.refused == 0, f"{done.refused} parts were refused"
    for pair in pairs:
        for connection in pair:
            await connection.close()
    waits = sorted((made.back_end.acknowledged[p.amount] - done.sent[p.amount]) / 1e6 for p in payments)
    return {
        "payments_per_s": round(count / ((last - began) / 1e9), 1),
        "cpu_us": round(cpu_us, 1),
        "p50_ms": round(statistics.median(waits), 2),
        "p99_ms": round(waits[len(waits) * 99 // PERCENT], 2),
    }


async def all_acknowledged(made: World, payments: list[load.Payment]) -> None:
    """Wait until the back end has acknowledged every payment."""
    for payment in payments:
        while payment.amount not in made.back_end.acknowledged:  # noqa: ASYNC110 - the back end only notes times
            await asyncio.sleep(0.01)


async def measure_echo(made: World, under: Server, body: bytes) -> dict[str, float]:
    """Send equal bodies to the same listener with no work behind it."""
    profile = made.profile("pc", under.port)
    pairs = await load.connect(profile, profile, under.port, WORKERS // 2)
    connections = [connection for pair in pairs for connection in pair]
    await load.echo(body, connections, ECHOES // 10)
    cpu, began = under.cpu_s(), time.monotonic()
    await load.echo(body, connections, ECHOES)
    took = time.monotonic() - began
    return {"echo_rps": round(ECHOES / took), "echo_us": round((under.cpu_s() - cpu) / ECHOES * 1e6, 1)}


def hot_spots(path: Path, most: int = 25) -> list[dict[str, Any]]:
    """Return where the time goes, by module, with the calls into C libraries counted where they are made."""
    stats = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    by_place: dict[str, float] = {}
    for (file, _line, name), (_calls, _all, own, _total, _callers) in stats.items():
        short = file.rpartition("site-packages/")[2].rpartition("/src/")[2].rpartition("/lib/")[2]
        place = f"{name}" if file == "~" else short
        by_place[place] = by_place.get(place, 0.0) + own
    whole = sum(by_place.values())
    ranked = sorted(by_place.items(), key=lambda item: -item[1])[:most]
    return [{"place": place, "percent": round(own / whole * PERCENT, 1)} for place, own in ranked]


@contextlib.asynccontextmanager
async def in_temporary_folder() -> AsyncIterator[World]:
    """Build the world in a folder on the disk that holds the repository, not in memory."""
    with tempfile.TemporaryDirectory(dir=RESULTS.parent) as folder:
        async with world(Path(folder)) as made:
            yield made


async def bench() -> dict[str, Any]:
    """Measure everything in one run."""
    numbers = itertools.count()
    async with in_temporary_folder() as made:
        async with server(made.data, "platform") as under:
            payments = await measure_payments(made, under, PAYMENTS, numbers)
            pc, phone = made.profile("pc", under.port), made.profile("phone", under.port)
            sample = load.prepare(pc, phone, await load.held_keys(pc), numbers, 1)
        body = sample[0].first.partition(b"\r\n\r\n")[2]
        async with server(made.data, "echo") as under:
            echo = await measure_echo(made, under, body)
        profile = made.home / "profile"
        async with server(made.data, "platform", str(profile)) as under:
            await measure_payments(made, under, PAYMENTS // 3, numbers)
        parts = await measure_floor(made, len(body), echo["echo_us"])
        floor_us = round(sum(parts.values()), 1)
        return {
            "machine": {"python": platform.python_version(), "cpu": cpu_name(), "cores": os.cpu_count()},
            "commit": commit(),
            **echo,
            **payments,
            "floor_us": floor_us,
            "floor_parts_us": parts,
            "efficiency": round(floor_us / payments["cpu_us"], 3),
            "profile": hot_spots(profile),
        }


async def measure_floor(made: World, body_size: int, echo_us: float) -> dict[str, float]:
    """Add up the irreducible work of one payment, with this core as busy as while payments were measured."""
    home, desk = made.home, made.desk
    files = [str(desk.ca.trust), str(desk.layout.certificate), str(desk.layout.private_key), str(home)]
    mirror = [str(home / "back-end.pem"), str(home / "back-end.key"), str(desk.ca.trust)]
    far = await start("bench.mirror", *mirror)
    assert far.stdout is not None
    port = (await far.stdout.readline()).split()[1].decode()
    near = await start("bench.floor", *files, port, str(body_size))
    busy = asyncio.create_task(asyncio.to_thread(keep_busy, near))
    printed, _ = await near.communicate()
    far.terminate()
    await asyncio.gather(busy, far.wait())
    return {"echo_x2": round(2 * echo_us, 1), **msgspec.json.decode(printed)}


async def start(module: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start one of our modules as a process whose output is read."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )


def keep_busy(while_running: asyncio.subprocess.Process) -> None:
    """Hash until the process has ended: the load generator's core is never idle during a run either."""
    block = bytes(64 * 1024)
    while while_running.returncode is None:
        hashlib.sha256(block).digest()


async def soak(count: int) -> dict[str, Any]:
    """Watch the server's memory over many payments; the slope is a fit over the second half."""
    numbers, samples = itertools.count(), []
    async with in_temporary_folder() as made, server(made.data, "platform") as under:
        for done in range(0, count, PAYMENTS):
            figures = await measure_payments(made, under, PAYMENTS - WARM_UP, numbers)
            made.back_end.acknowledged.clear()
            samples.append({"payments": done + PAYMENTS, "rss_kib": under.rss_kib(), **figures})
            print(samples[-1], flush=True)
    half = samples[len(samples) // 2 :]
    slope, _ = statistics.linear_regression([s["payments"] for s in half], [s["rss_kib"] for s in half])
    return {"payments": count, "rss_slope_bytes_per_payment": round(slope * 1024, 2), "samples": samples}


def cpu_name() -> str:
    """Name the processor."""
    info = Path("/proc/cpuinfo").read_text()
    return info.partition("model name")[2].partition(":")[2].partition("\n")[0].strip()


def commit() -> str:
    """Name the commit that was measured."""
    command = [shutil.which("git") or "git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - our words


def main() -> None:
    """Run what the command line asks for and write its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--soak", type=int, metavar="PAYMENTS")
    wanted = parser.parse_args().soak
    os.sched_setaffinity(0, {LOAD_CORE})
    result = uvloop.run(soak(wanted) if wanted else bench())
    path = RESULTS / ("soak.json" if wanted else "latest.json")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
