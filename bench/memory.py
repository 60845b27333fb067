"""What an open payment costs: memory of the server process, and bytes of the store's file."""

import asyncio
import itertools
from typing import Any

from bench import fill, load
from bench.figures import slope
from bench.growth import far, one_payment
from bench.payments import in_temporary_folder, measure_payments
from bench.processes import server

STEP = 2_000
BESIDE = 200_000  # payments in the store before: more pages than its cache keeps
WARM_UP = 1_500  # payments; each touches some 15 pages of 4 KiB
CONNECTIONS = 32


async def memory(count: int, *, store: str = "sqlite") -> dict[str, Any]:
    """Send part one of `count` payments and no part two; watch the server grow.

    The store holds so many payments before that its page cache, which is bounded, is full once the warm-up is over.
    """
    if store != "sqlite":
        raise ValueError("the bytes of an open payment are looked for in a file")
    numbers: itertools.count[int] = itertools.count()
    async with in_temporary_folder(store) as made:
        path = made.data / "store.db"
        await one_payment(made, numbers)
        await asyncio.to_thread(fill.fill, path, BESIDE, 0, far())
        async with server(made.data, "platform") as under:
            await measure_payments(made, under, 10, numbers, warm_up=WARM_UP)
            await made.desk.store.checkpoint()
            size, points = path.stat().st_size, [(0.0, float(under.rss_kib()))]
            pc, phone = made.profile("pc", under.port), made.profile("phone", under.port)
            keys = await load.held_keys(pc)
            pairs = await load.connect(pc, phone, under.port, CONNECTIONS)
            for done in range(STEP, count + 1, STEP):
                payments = await asyncio.to_thread(load.prepare, pc, phone, keys, numbers, STEP)
                halves = await load.run(payments, pairs, second=False)
                assert halves.refused == 0, f"{halves.refused} parts were refused"
                points.append((float(done), float(under.rss_kib())))
        await made.desk.store.checkpoint()
        grown = path.stat().st_size - size
    half = points[len(points) // 2 :]
    return {
        "open": count,
        "rss_kib": [int(rss) for _, rss in points],
        "rss_bytes_per_open": round(slope(half) * 1024, 1),
        "store_bytes_per_open": round(grown / count),
    }
