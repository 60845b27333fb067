"""Ports to everything that is not a pure function: time, randomness, ids. A simulation supplies its own."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, NewType, Protocol

Millis = NewType("Millis", int)
"""A point in time: milliseconds since 1970-01-01T00:00:00Z."""

ID_BYTES: Final = 16  # 128 bits of randomness in every id (OWASP ASVS 11.5.1), 92 in one with a date
PLACES: Final = 4  # where rows with dated ids are added: few for one file, more than one for shards by range
SECOND_DIGITS: Final = 8  # hexadecimal digits of the second an id was made in: enough until 2106


class Clock(Protocol):
    """Tell the time and wait."""

    def now(self) -> Millis:
        """Return the current time."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking others."""
        ...


class Randomness(Protocol):
    """Give unpredictable bytes and digits."""

    def token(self, size: int) -> bytes:
        """Return `size` random bytes."""
        ...

    def below(self, bound: int) -> int:
        """Return a uniform integer in [0, bound)."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> Millis:
        """Return the current time."""
        return Millis(time.time_ns() // 1_000_000)

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)


class SystemRandomness:
    """The operating system's generator."""

    def token(self, size: int) -> bytes:
        """Return `size` random bytes."""
        return secrets.token_bytes(size)

    def below(self, bound: int) -> int:
        """Return a uniform integer in [0, bound)."""
        return secrets.randbelow(bound)


def new_id(prefix: str, randomness: Randomness) -> str:
    """Make a prefixed id of 128 random bits, e.g. `pay_…` with 32 hexadecimal digits."""
    return f"{prefix}_{randomness.token(ID_BYTES).hex()}"


def dated_id(prefix: str, randomness: Randomness, at: Millis) -> str:
    """Make an id of a row that stays: a digit below PLACES, the second it was made, and 92 random bits.

    Rows made together stand together in every index, however many there are (decision 0032). Looks like that of
    `new_id`; like that one it names something and opens nothing.
    """
    token = randomness.token(ID_BYTES)
    return f"{prefix}_{token[0] % PLACES}{at // 1_000:0{SECOND_DIGITS}x}{token.hex()[1 + SECOND_DIGITS :]}"


def random_digits(count: int, randomness: Randomness) -> str:
    """Make a string of `count` uniform decimal digits."""
    return f"{randomness.below(10**count):0{count}d}"


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do `work` beside the context and cancel it at the end; an error that ended it before is raised then."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
