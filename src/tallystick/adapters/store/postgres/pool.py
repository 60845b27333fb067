"""A bounded pool: the database gets no more connections from a node than it was promised, whatever the load."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from tallystick.errors import StoreFailed, Unavailable

WAITING_MAX: Final = 8_192  # works that wait for a connection; more are refused


class Closable(Protocol):
    """What a pool holds."""

    @property
    def lost(self) -> bool:
        """Say whether it can no longer be used."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


L = TypeVar("L", bound=Closable)


class Pool(Generic[L]):
    """At most `size` of what `make` opens, each lent to one work at a time; the one used last is lent first."""

    def __init__(self, make: Callable[[], Awaitable[L]], size: int) -> None:
        self._make = make
        self._room = size
        self._free: list[L] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lent = 0
        self._closed = False

    async def take(self) -> L:
        """Lend one; raises Unavailable when too many wait, StoreFailed when it is closed or none can be opened."""
        if self._closed:
            raise StoreFailed("the store is closed")
        if self._lent >= self._room or self._waiting:
            await self._wait()
        else:
            self._lent += 1
        try:
            while self._free:
                if not (link := self._free.pop()).lost:
                    return link
            return await self._make()
        except BaseException:
            self._pass_on()
            raise

    def give_back(self, link: L) -> None:
        """Take one back."""
        if self._closed:
            link.close()
        elif not link.lost:
            self._free.append(link)
        self._pass_on()

    def load(self) -> float:
        """Return how full the queue is, 1 when more are refused."""
        return len(self._waiting) / WAITING_MAX

    async def aclose(self) -> None:
        """Wait until all are back, then close them; nobody is lent one from now on."""
        while self._lent:
            await self._wait()
            self._lent -= 1
        self._closed = True
        for link in self._free:
            link.close()
        self._free.clear()

    async def _wait(self) -> None:
        """Wait for the turn of the one who gives back; the place in `_lent` passes from hand to hand."""
        if len(self._waiting) >= WAITING_MAX:
            raise Unavailable("too many transactions wait for the store")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            if not (turn := self._waiting.popleft()).done():
                turn.set_result(None)
                return
        self._lent -= 1
