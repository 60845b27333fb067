"""The arithmetic of the benchmarks: percentiles of sorted values, slopes, Poisson arrivals."""

import math
import random
import statistics
from collections.abc import Sequence

PERCENT = 100
CURVE_POINTS = 120


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the least value that at least `percent` of `ordered` (sorted, not empty) are not above: nearest rank."""
    if not ordered:
        raise ValueError("no values have no percentile")
    rank = math.ceil(len(ordered) * percent / PERCENT - 1e-9)
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def latencies(values_ms: Sequence[float]) -> dict[str, float]:
    """Sum up waits in ms: median, tails and the worst one."""
    ordered = sorted(values_ms)
    named = {"p50_ms": 50.0, "p99_ms": 99.0, "p99_9_ms": 99.9, "max_ms": 100.0}
    return {name: round(percentile(ordered, percent), 2) for name, percent in named.items()}


def curve(values_ms: Sequence[float]) -> list[tuple[float, float]]:
    """Return (ms, share not above it in percent) for a plot, with more points towards the tail."""
    ordered = sorted(values_ms)
    tails = [10 ** (-4 * step / CURVE_POINTS) for step in range(CURVE_POINTS + 1)]
    shares = sorted({round(PERCENT * (1 - tail), 4) for tail in tails} | {100.0})
    return [(round(percentile(ordered, share), 3), share) for share in shares]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of a straight line through (x, y); 0 for fewer than two different x."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def arrivals(rate: float, count: int, source: random.Random) -> list[float]:
    """Return the seconds at which `count` arrivals of a Poisson process of `rate` a second happen."""
    at, times = 0.0, []
    for _ in range(count):
        at += source.expovariate(rate)
        times.append(at)
    return times
