"""Latency under open-loop load at 50 % and 80 % of the capacity that the same server shows at full load."""

import asyncio
import itertools
from typing import Any

from bench import load, openloop
from bench.figures import PERCENT, curve, latencies
from bench.payments import PAYMENTS, all_acknowledged, in_temporary_folder, measure_payments
from bench.processes import Server, server
from bench.world import World

SHARES = (50, 80)  # percent of capacity
SETTLE_S = 60.0  # s until the back end must have acknowledged all


async def open_loop(seconds: float, *, store: str = "sqlite") -> dict[str, Any]:
    """Measure capacity, then send at each share of it for `seconds`."""
    numbers: itertools.count[int] = itertools.count()
    async with in_temporary_folder(store) as made, server(made.data, "platform") as under:
        await measure_payments(made, under, PAYMENTS // 3, numbers)
        full = await measure_payments(made, under, PAYMENTS, numbers)
        told = {
            f"{share}%": await at_rate(made, under, full["payments_per_s"] * share / PERCENT, seconds, numbers)
            for share in SHARES
        }
    return {"capacity": full, "at": told}


async def at_rate(
    made: World, under: Server, rate: float, seconds: float, numbers: "itertools.count[int]"
) -> dict[str, Any]:
    """Send `rate` payments a second by a Poisson clock and sum up the waits."""
    pc, phone = made.profile("pc", under.port), made.profile("phone", under.port)
    keys = await load.held_keys(pc)
    payments = await asyncio.to_thread(load.prepare, pc, phone, keys, numbers, int(rate * seconds))
    pools = openloop.Pool(pc, under.port), openloop.Pool(phone, under.port)
    for pool in pools:
        await pool.open()
    cpu = under.cpu_s()
    waits = await openloop.run(payments, *pools, rate, seed=len(payments))
    async with asyncio.timeout(SETTLE_S):
        await all_acknowledged(made, payments)
    cpu_us = (under.cpu_s() - cpu) / len(payments) * 1e6
    for pool in pools:
        await pool.close()
    deliveries = waits.deliveries_ms(made.back_end.acknowledged)
    return {
        "rate": round(rate, 1),
        "payments": len(payments),
        "refused": waits.refused,
        "broken": waits.broken,
        "cpu_us": round(cpu_us, 1),
        "answer": latencies(waits.answers_ms),
        "delivery": latencies(deliveries),
        "sent_late": latencies(waits.late_ms),
        "answer_curve": curve(waits.answers_ms),
        "delivery_curve": curve(deliveries),
    }
