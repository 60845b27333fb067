"""Argon2id beside the event loop."""

import asyncio

import pytest

from tallystick.adapters.passwords import PooledStretcher
from tallystick.crypto.passwords import PARAMETERS, SALT_BYTES, stretch
from tallystick.errors import Misconfigured, Unavailable
from tallystick.secret import Secret

PASSWORD = Secret("correct horse battery")
SALT = bytes(SALT_BYTES)


@pytest.fixture
async def pool():  # noqa: ANN201
    pool = PooledStretcher(workers=1, waiting_max=2)
    yield pool
    pool.close()


async def test_the_pool_gives_what_the_function_gives(pool: PooledStretcher) -> None:
    expected = stretch(PASSWORD, SALT)
    found = await pool.stretch(PASSWORD, SALT, PARAMETERS)
    assert (expected.verifier, expected.wrapping_key) == (found.verifier, found.wrapping_key)


async def test_more_than_may_wait_are_refused_and_later_taken_again(pool: PooledStretcher) -> None:
    answers = await asyncio.gather(
        *(pool.stretch(PASSWORD, SALT, PARAMETERS) for _ in range(5)), return_exceptions=True
    )
    assert [False, False, True, True, True] == [isinstance(answer, Unavailable) for answer in answers]
    await pool.stretch(PASSWORD, SALT, PARAMETERS)


async def test_a_cancelled_caller_frees_no_place_while_the_thread_still_runs(pool: PooledStretcher) -> None:
    callers = [asyncio.create_task(pool.stretch(PASSWORD, SALT, PARAMETERS)) for _ in range(2)]
    await asyncio.sleep(0)
    callers[0].cancel()
    with pytest.raises(Unavailable):
        await pool.stretch(PASSWORD, SALT, PARAMETERS)
    await asyncio.gather(*callers, return_exceptions=True)
    await pool.stretch(PASSWORD, SALT, PARAMETERS)


async def test_the_event_loop_runs_on_meanwhile(pool: PooledStretcher) -> None:
    run = asyncio.create_task(pool.stretch(PASSWORD, SALT, PARAMETERS))
    turns = 0
    while not run.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10


async def test_an_error_of_the_function_reaches_the_caller(pool: PooledStretcher) -> None:
    with pytest.raises(Misconfigured):
        await pool.stretch(PASSWORD, SALT, "argon2id$unknown")
