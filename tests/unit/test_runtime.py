"""Ids, digits, the clocks, and work beside a context."""

import asyncio
import re

import pytest

from tallystick.runtime import Millis, SystemClock, SystemRandomness, beside, dated_id, new_id, random_digits
from tallystick.testing.clock import START, SeededRandomness, VirtualClock


def test_an_id_has_its_prefix_and_128_random_bits() -> None:
    made = {new_id("pay", SystemRandomness()) for _ in range(100)}
    assert 100 == len(made)
    assert all(re.fullmatch(r"pay_[0-9a-f]{32}", one) for one in made)


def test_dated_ids_look_like_others_and_those_of_a_second_stand_together_at_few_places() -> None:
    made = {dated_id("pay", SystemRandomness(), Millis(1_790_000_000_000 + ms)) for ms in range(1_000)}
    assert 1_000 == len(made)
    assert all(re.fullmatch(r"pay_[0-9a-f]{32}", one) for one in made)
    assert {f"{1_790_000_000:08x}"} == {one[5:13] for one in made}
    assert set("0123") == {one[4] for one in made}
    later = dated_id("pay", SystemRandomness(), Millis(1_790_000_001_000))
    assert all(one < later for one in made if one[4] == later[4])


def test_random_digits_keep_their_leading_zeros() -> None:
    class Zero(SeededRandomness):
        def below(self, bound: int) -> int:
            assert 10**8 == bound
            return 7

    assert "00000007" == random_digits(8, Zero())


def test_the_system_clock_counts_milliseconds_and_waits() -> None:
    clock = SystemClock()
    before = clock.now()
    asyncio.run(clock.sleep(0.002))
    assert 2 <= clock.now() - before < 5_000
    assert 1_600_000_000_000 < before < 10_000_000_000_000


@pytest.mark.parametrize("bound", [1, 2, 31, 10**8])
def test_the_systems_randomness_stays_below_its_bound(bound: int) -> None:
    assert all(0 <= SystemRandomness().below(bound) < bound for _ in range(50))
    assert bound == len(SystemRandomness().token(bound)) or bound > 100


def test_the_same_seed_gives_the_same_randomness() -> None:
    assert SeededRandomness(3).token(32) == SeededRandomness(3).token(32)
    assert SeededRandomness(3).token(32) != SeededRandomness(4).token(32)


async def test_a_virtual_clock_stands_still_until_it_is_advanced_and_wakes_sleepers_at_their_time() -> None:
    clock, woken = VirtualClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.now() - START))

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2)]
    await asyncio.sleep(0)
    await clock.advance(999)
    assert [] == woken
    await clock.advance(1_501)
    assert [(1, 1_000), (2, 2_000)] == woken
    await clock.advance(500)
    assert [(1, 1_000), (2, 2_000), (3, 3_000)] == woken
    assert START + 3_000 == clock.now()
    await asyncio.gather(*tasks)


async def test_work_beside_a_context_is_cancelled_at_its_end() -> None:
    started, cancelled = asyncio.Event(), []

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    async with beside(work()):
        await started.wait()
    assert [True] == cancelled


async def test_an_error_that_ended_work_beside_a_context_is_not_lost() -> None:
    async def work() -> None:
        raise ValueError("ended")

    with pytest.raises(ValueError, match="ended"):
        async with beside(work()):
            await asyncio.sleep(0)
