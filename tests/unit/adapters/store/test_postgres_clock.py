"""The database's clock as a node knows it."""

import pytest

from tallystick.adapters.store.postgres.clock import AGE_MAX_S, ERROR_MAX_MS, DatabaseClock
from tallystick.errors import StoreFailed, Unavailable
from tallystick.runtime import Millis


class Machine:
    """A machine's monotonic clock, and a database whose own is `ahead_ms` of it and answers after `takes_s`."""

    def __init__(self, ahead_ms: int) -> None:
        self.now_s = 1_000.0
        self.ahead_ms = ahead_ms
        self.takes_s = [0.0]

    def monotonic(self) -> float:
        return self.now_s

    async def ask(self) -> Millis:
        takes = self.takes_s[0] if len(self.takes_s) == 1 else self.takes_s.pop(0)
        self.now_s += takes / 2
        there = Millis(int(self.now_s * 1_000) + self.ahead_ms)
        self.now_s += takes / 2
        return there


def clock_of(machine: Machine) -> DatabaseClock:
    return DatabaseClock(machine.ask, machine.monotonic)


async def test_two_nodes_whose_machines_differ_tell_the_same_time() -> None:
    one, other = Machine(ahead_ms=5_000), Machine(ahead_ms=5_000 - 60_000)
    other.now_s += 60
    clocks = [clock_of(one), clock_of(other)]
    for clock in clocks:
        await clock.measure()

    assert [Millis(1_005_000)] * 2 == [clock.now() for clock in clocks]


async def test_the_quickest_answer_counts_and_says_how_far_off_it_may_be() -> None:
    machine = Machine(ahead_ms=5_000)
    machine.takes_s = [0.4, 0.02, 0.4]
    clock = clock_of(machine)
    await clock.measure()

    assert clock.error_ms == pytest.approx(10)
    assert abs(clock.now() - (machine.now_s * 1_000 + 5_000)) <= 10


async def test_an_answer_that_took_too_long_tells_nothing() -> None:
    machine = Machine(ahead_ms=0)
    machine.takes_s = [ERROR_MAX_MS * 3 / 1_000]
    with pytest.raises(StoreFailed):
        await clock_of(machine).measure()


async def test_a_time_never_measured_or_long_ago_is_not_told() -> None:
    machine = Machine(ahead_ms=0)
    clock = clock_of(machine)
    with pytest.raises(Unavailable):
        clock.now()
    await clock.measure()
    machine.now_s += AGE_MAX_S
    clock.now()
    machine.now_s += 1
    with pytest.raises(Unavailable):
        clock.now()


async def test_the_time_never_goes_back_when_the_database_s_does() -> None:
    machine = Machine(ahead_ms=5_000)
    clock = clock_of(machine)
    await clock.measure()
    before = clock.now()
    machine.ahead_ms = 0
    await clock.measure()

    assert before == clock.now()
    machine.now_s += 6
    assert before < clock.now()
