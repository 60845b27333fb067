"""Does a payment cost more when the store holds millions of them? CPU, latency, restart and idle cost by size."""

import asyncio
import itertools
import shutil
import time
from pathlib import Path
from typing import Any

from bench import fill
from bench.payments import in_temporary_folder, measure_payments
from bench.processes import server
from bench.world import World

DAY_MS = 24 * 3_600_000
IDLE_S = 5.0
GIB = 2**30


async def growth(finished: list[int], opened: int, count: int) -> dict[str, Any]:
    """Measure with each number of finished payments; with the last and `opened` more than none, also with open ones."""
    numbers: itertools.count[int] = itertools.count()
    rows = []
    async with in_temporary_folder() as made:
        await one_payment(made, numbers)
        there, steps = 0, [(size, 0) for size in sorted(finished)]
        if opened:
            steps.append((max(finished, default=0), opened))
        for size, waiting in steps:
            room(made.data, size - there)
            began = time.monotonic()
            await asyncio.to_thread(fill.fill, made.data / "store.db", size - there, waiting, far())
            there, took = size, time.monotonic() - began
            rows.append(
                {"finished": size, "open": waiting, "filled_in_s": round(took), **await cost(made, numbers, count)}
            )
            print(rows[-1], flush=True)
    return {"sizes": rows}


async def one_payment(made: World, numbers: "itertools.count[int]") -> None:
    """Let one payment end, whose rows are the model of all others."""
    async with server(made.data, "platform") as under:
        await measure_payments(made, under, 10, numbers, warm_up=40)
    await made.desk.store.checkpoint()


async def cost(made: World, numbers: "itertools.count[int]", count: int) -> dict[str, Any]:
    """Start on the store as it is; measure the start, an idle while, and payments."""
    began = time.monotonic()
    async with server(made.data, "platform") as under:
        start_s = time.monotonic() - began
        idle = under.cpu_s()
        await asyncio.sleep(IDLE_S)
        idle_ms = (under.cpu_s() - idle) / IDLE_S * 1e3
        figures = await measure_payments(made, under, count, numbers)
        rss = under.rss_kib()
    size = (made.data / "store.db").stat().st_size
    return {
        "store_gib": round(size / GIB, 3),
        "start_s": round(start_s, 2),
        "idle_cpu_ms_per_s": round(idle_ms, 1),
        "rss_kib": rss,
        **figures,
    }


def room(data: Path, more: int, bytes_each: int = 3_000) -> None:
    """Refuse to fill the disk."""
    if shutil.disk_usage(data).free < more * bytes_each + 5 * GIB:
        raise SystemExit(f"{more} more payments do not fit on this disk")


def far() -> int:
    """Return a time a day from now, in ms."""
    return int(time.time() * 1000) + DAY_MS
