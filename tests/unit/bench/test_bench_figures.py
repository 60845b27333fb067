"""The arithmetic of the benchmarks."""

import itertools
import random

import pytest
from bench.figures import arrivals, curve, latencies, percentile, slope


def test_a_percentile_is_the_nearest_rank() -> None:
    ordered = [float(n) for n in range(1, 1001)]
    assert 500.0 == percentile(ordered, 50)
    assert 990.0 == percentile(ordered, 99)
    assert 999.0 == percentile(ordered, 99.9)
    assert 1000.0 == percentile(ordered, 100)
    assert 1.0 == percentile(ordered, 0)


def test_the_tail_of_few_values_is_the_worst_of_them() -> None:
    assert {"p50_ms": 2.0, "p99_ms": 9.0, "p99_9_ms": 9.0, "max_ms": 9.0} == latencies([9.0, 1.0, 2.0])


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_curve_rises_to_the_worst_value() -> None:
    points = curve([float(n) for n in range(1, 10_001)])
    assert points == sorted(points)
    assert (10_000.0, 100.0) == points[-1]
    assert all(abs(ms / 10_000 * 100 - share) < 0.02 for ms, share in points[1:])


def test_a_slope_is_that_of_the_line_and_none_for_one_point() -> None:
    assert pytest.approx(2.5) == slope([(0, 1), (2, 6), (4, 11)])
    assert slope([(3, 7)]) == 0.0


def test_arrivals_come_at_the_rate_asked_for_and_as_irregularly_as_a_poisson_process() -> None:
    times = arrivals(200, 20_000, random.Random(7))  # noqa: S311 - a repeatable schedule
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert times == sorted(times)
    assert pytest.approx(1 / 200, rel=0.03) == mean
    assert pytest.approx(mean, rel=0.03) == deviation
