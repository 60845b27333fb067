"""Ports to everything that is not a pure function: time, randomness, ids. A simulation supplies its own."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, NewType, Protocol

Millis = NewType("Millis", int)
"""A point in time: milliseconds since 1970-01-01T00:00:00Z."""

ID_BYTES: Final = 16  # 128 bits of randomness in every id (OWASP ASVS 11.5.1)


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
