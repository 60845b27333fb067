"""An hour (or any time) at a steady open-loop rate: do memory, descriptors, cost and latency stay flat?

`python -m bench.soak --minutes 60 --rate 20` writes bench/results/soak.json, and keeps it up to date while it runs. The
slopes are straight lines through the second half: what is made once at the start is no growth.
"""

import argparse
import asyncio
import itertools
import os
import time
from pathlib import Path
from typing import Any

import uvloop

from bench import load, openloop
from bench.figures import latencies, slope
from bench.payments import all_acknowledged, in_temporary_folder
from bench.processes import LOAD_CORE, Server, circumstances, server
from bench.results import write
from bench.world import World

CHUNK_S = 30
CONNECTIONS = 8
SETTLE_S = 30.0  # s after the last part until the back end must have acknowledged every payment


async def chunk(
    made: World, rate: float, numbers: "itertools.count[int]", pools: tuple[openloop.Pool, openloop.Pool], port: int
) -> dict[str, Any]:
    """Send CHUNK_S seconds of payments; return waits and what was refused."""
    pc, phone = made.profile("pc", port), made.profile("phone", port)
    keys = await load.held_keys(pc)
    payments = await asyncio.to_thread(load.prepare, pc, phone, keys, numbers, int(rate * CHUNK_S))
    waits = await openloop.run(payments, *pools, rate, seed=payments[0].amount)
    async with asyncio.timeout(SETTLE_S):
        await all_acknowledged(made, payments)
    told = {
        "payments": len(payments),
        "refused": waits.refused,
        "broken": waits.broken,
        "answer": latencies(waits.answers_ms),
        "delivery": latencies(waits.deliveries_ms(made.back_end.acknowledged)),
    }
    made.back_end.acknowledged.clear()
    return told


async def soak(minutes: float, rate: float) -> dict[str, Any]:
    """Run until the time is over; a sample after every chunk."""
    numbers: itertools.count[int] = itertools.count()
    result: dict[str, Any] = {**circumstances(), "rate": rate, "minutes": minutes, "samples": []}
    async with in_temporary_folder() as made, server(made.data, "platform") as under:
        pools = (
            openloop.Pool(made.profile("pc", under.port), under.port),
            openloop.Pool(made.profile("phone", under.port), under.port),
        )
        for pool in pools:
            await pool.open(CONNECTIONS)
        began = time.monotonic()
        while time.monotonic() - began < minutes * 60:
            cpu = under.cpu_s()
            told = await chunk(made, rate, numbers, pools, under.port)
            told["cpu_us"] = round((under.cpu_s() - cpu) / told["payments"] * 1e6, 1)
            result["samples"].append({"at_s": round(time.monotonic() - began), **sizes(under, made.data), **told})
            write("soak", {**result, **slopes(result["samples"])})
        for pool in pools:
            await pool.close()
    return {**result, **slopes(result["samples"])}


def sizes(under: Server, data: Path) -> dict[str, Any]:
    """Return memory, descriptors and the store's files as they are now."""
    store = {path.name: path.stat().st_size // 1024 for path in sorted(data.glob("*.db*"))}
    return {
        "rss_kib": under.rss_kib(),
        "family_rss_kib": under.family_rss_kib(),
        "descriptors": under.descriptors(),
        "store_kib": store,
        "load_average": round(os.getloadavg()[0], 2),
    }


def slopes(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Fit the second half: KiB and descriptors an hour, bytes a payment."""
    half = samples[len(samples) // 2 :]
    done = list(itertools.accumulate(sample["payments"] for sample in samples))[len(samples) // 2 :]
    hours = [sample["at_s"] / 3600 for sample in half]
    return {
        "payments": sum(sample["payments"] for sample in samples),
        "refused": sum(sample["refused"] for sample in samples),
        "broken": sum(sample["broken"] for sample in samples),
        "rss_slope_kib_per_hour": round(slope([(h, s["rss_kib"]) for h, s in zip(hours, half, strict=True)]), 1),
        "rss_slope_bytes_per_payment": round(
            1024 * slope([(n, s["rss_kib"]) for n, s in zip(done, half, strict=True)]), 2
        ),
        "descriptor_slope_per_hour": round(slope([(h, s["descriptors"]) for h, s in zip(hours, half, strict=True)]), 2),
        "cpu_us_slope_per_hour": round(slope([(h, s["cpu_us"]) for h, s in zip(hours, half, strict=True)]), 1),
    }


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20, help="payments a second")
    given = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    write("soak", uvloop.run(soak(given.minutes, given.rate)))


if __name__ == "__main__":
    main()
