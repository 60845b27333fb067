"""Whole payments at full load: rate, CPU and waits of a fixed number of payments at a time (closed loop)."""

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bench import load
from bench.figures import percentile
from bench.processes import Server, family_cpu_s
from bench.results import FOLDER
from bench.world import World, world

PAYMENTS = 3_000
WARM_UP = 600
WORKERS = 32
POLL_S = 0.01


@contextlib.asynccontextmanager
async def in_temporary_folder(store: str = "sqlite") -> AsyncIterator[World]:
    """Build the world in a folder on the disk that holds the repository, not in memory."""
    with tempfile.TemporaryDirectory(dir=FOLDER.parent) as folder:
        async with world(Path(folder), store) as made:
            yield made


async def measure_payments(
    made: World, under: Server, count: int, numbers: "itertools.count[int]", *, warm_up: int = WARM_UP
) -> dict[str, float]:
    """Warm up, then send `count` payments at full speed."""
    pc, phone = made.profile("pc", under.port), made.profile("phone", under.port)
    keys = await load.held_keys(pc)
    for_warm_up = await asyncio.to_thread(load.prepare, pc, phone, keys, numbers, warm_up)
    payments = await asyncio.to_thread(load.prepare, pc, phone, keys, numbers, count)
    pairs = await load.connect(pc, phone, under.port, WORKERS)
    await load.run(for_warm_up, pairs)
    await all_acknowledged(made, for_warm_up)
    database = database_cpu_s(made)
    (read, written), cpu, own, began = under.disk(), under.cpu_s(), under.own_cpu_s(), time.monotonic_ns()
    done = await load.run(payments, pairs)
    await all_acknowledged(made, payments)
    last = max(made.back_end.acknowledged[payment.amount] for payment in payments)
    cpu_us = (under.cpu_s() - cpu) / count * 1e6
    read, written = (after - before for after, before in zip(under.disk(), (read, written), strict=True))
    own_us = (under.own_cpu_s() - own) / count * 1e6
    assert done.refused == 0, f"{done.refused} parts were refused"
    for pair in pairs:
        for connection in pair:
            await connection.close()
    waits = sorted((made.back_end.acknowledged[p.amount] - done.sent[p.amount]) / 1e6 for p in payments)
    return {
        "payments_per_s": round(count / ((last - began) / 1e9), 1),
        "cpu_us": round(cpu_us, 1),
        "cpu_us_first_process": round(own_us, 1),
        "payments_per_core_s": round(1e6 / cpu_us, 1),
        **({"database_cpu_us": round((database_cpu_s(made) - database) / count * 1e6, 1)} if made.database else {}),
        "disk_read_bytes": round(read / count),
        "disk_written_bytes": round(written / count),
        "p50_ms": round(percentile(waits, 50), 2),
        "p99_ms": round(percentile(waits, 99), 2),
    }


def database_cpu_s(made: World) -> float:
    """Return the CPU time of the database's own processes so far; 0 for a store within the server."""
    return family_cpu_s(made.database.pid) if made.database is not None else 0.0


async def all_acknowledged(made: World, payments: list[load.Payment]) -> None:
    """Wait until the back end has acknowledged every payment."""
    for payment in payments:
        while payment.amount not in made.back_end.acknowledged:  # noqa: ASYNC110 - the back end only notes times
            await asyncio.sleep(POLL_S)
