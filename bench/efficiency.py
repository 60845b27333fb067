"""The whole path against its floor, the raw limits of the machine beside it, and where the time goes."""

import asyncio
import hashlib
import itertools
import os
import pstats
import time
from pathlib import Path
from typing import Any

import msgspec

from bench import load
from bench.payments import PAYMENTS, WORKERS, in_temporary_folder, measure_payments
from bench.processes import Server, server, start
from bench.world import World

ECHOES = 20_000
FSYNCS = 200
PAGE = 4_096  # bytes written before each fsync
PERCENT = 100


async def efficiency(count: int = PAYMENTS, *, store: str = "sqlite", profiled: bool = True) -> dict[str, Any]:
    """Measure echo, payments and floor in one run."""
    numbers: itertools.count[int] = itertools.count()
    async with in_temporary_folder(store) as made:
        async with server(made.data, "platform") as under:
            payments = await measure_payments(made, under, count, numbers)
            pc, phone = made.profile("pc", under.port), made.profile("phone", under.port)
            sample = load.prepare(pc, phone, await load.held_keys(pc), numbers, 1)
        body = sample[0].first.partition(b"\r\n\r\n")[2]
        async with server(made.data, "echo") as under:
            echo = await measure_echo(made, under, body)
        profile = made.home / "profile"
        if profiled:
            async with server(made.data, "platform", str(profile)) as under:
                await measure_payments(made, under, count // 3, numbers)
        parts, rows_cpu_us = await measure_floor(made, len(body), echo["echo_us"])
        floor_us = round(sum(parts.values()), 1)
        in_cpu = {name: rows_cpu_us if "rows" in name else us for name, us in parts.items()}
        floor_cpu_us = round(sum(in_cpu.values()), 1)
        raw = {
            **echo,
            "hpke_opens_per_s": round(2e6 / parts["hpke_open_x2"]),
            "fsyncs_per_s": round(await asyncio.to_thread(fsyncs_per_s, made.home)),
        }
        return {
            "raw": raw,
            **payments,
            "floor_us": floor_us,
            "floor_parts_us": parts,
            "floor_cpu_us": floor_cpu_us,
            "floor_parts_cpu_us": in_cpu,
            "efficiency": round(floor_us / payments["cpu_us"], 3),
            "efficiency_cpu": round(floor_cpu_us / payments["cpu_us"], 3),
            "profile": hot_spots(profile) if profiled else [],
        }


def fsyncs_per_s(folder: Path, count: int = FSYNCS) -> float:
    """Return how often a second the disk makes one written page durable, one after the other."""
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        began = time.monotonic()
        for _ in range(count):
            file.write(bytes(PAGE))
            os.fsync(file.fileno())
        took = time.monotonic() - began
    path.unlink()
    return count / took


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


async def measure_floor(made: World, body_size: int, echo_us: float) -> tuple[dict[str, float], float]:
    """Measure the irreducible work of one payment, with this core as busy as while payments were measured.

    Returns its parts, and the CPU time of the rows beside their elapsed time.
    """
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
    told = msgspec.json.decode(printed)
    return {"echo_x2": round(2 * echo_us, 1), **told["parts"]}, told["rows_cpu_us"]


def keep_busy(while_running: asyncio.subprocess.Process) -> None:
    """Hash until the process has ended: the load generator's core is never idle during a run either."""
    block = bytes(64 * 1024)
    while while_running.returncode is None:
        hashlib.sha256(block).digest()


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
