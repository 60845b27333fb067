"""Several connections to one back end: the least busy one is taken, a lost one is opened anew when it is needed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tallystick.adapters.connectors.iso8583_link import Link
from tallystick.errors import NotSent

MORE_PAUSE_S: Final = 1.0  # s after a failed try to open a further connection, until the next one

Open = Callable[[], Coroutine[Any, Any, Link]]


class Pool:
    """Up to `size` connections, opened one after the other by `open_link`, which raises NotSent.

    Callers that need the first connection share one attempt to open it, and its failure. A further one is opened in the
    background while the others are busy; when that fails, nobody is told.
    """

    def __init__(self, size: int, open_link: Open) -> None:
        self._size = size
        self._open_link = open_link
        self._links: list[Link] = []
        self._opening: asyncio.Task[Link] | None = None
        self._no_more_before = 0.0
        self._closed = False

    @property
    def usable(self) -> list[Link]:
        """Return the connections that a request can be written to."""
        return [link for link in self._links if link.usable]

    @property
    def _open(self) -> list[Link]:
        return [link for link in self._links if link.open]

    async def link(self) -> Link:
        """Return the least busy connection; raises NotSent when there is none and none can be opened."""
        usable = self.usable
        if not usable:
            return await self._one_more()
        best = min(usable, key=lambda link: link.in_flight)
        now = asyncio.get_running_loop().time()
        if best.in_flight and len(usable) < self._size and self._opening is None and now >= self._no_more_before:
            self._start()
        return best

    async def fill(self) -> list[Link]:
        """Open what is missing and return the connections; raises NotSent when there is none at all."""
        try:
            while len(self.usable) < self._size:
                await self._one_more()
        except NotSent:
            if not self.usable:
                raise
        return self.usable

    def retire(self) -> None:
        """Let every connection end when its requests in flight have; the next request opens a new one."""
        for link in self.usable:
            link.retire()

    async def aclose(self) -> list[Link]:
        """Open no more and return the connections, also retired ones, for the caller to close."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        return self._open

    async def _one_more(self) -> Link:
        attempt = self._opening or self._start()
        await asyncio.wait({attempt})  # unlike awaiting it, this passes no cancellation on, in either direction
        if attempt.cancelled():
            raise NotSent("the connector is closed")
        return attempt.result()

    def _start(self) -> asyncio.Task[Link]:
        if self._closed:
            raise NotSent("the connector is closed")
        self._opening = asyncio.create_task(self._open_link())
        self._opening.add_done_callback(self._opened)
        return self._opening

    def _opened(self, attempt: asyncio.Task[Link]) -> None:
        self._opening = None
        if attempt.cancelled():
            return
        if attempt.exception() is None:
            self._links = [*self._open, attempt.result()]
        else:
            self._no_more_before = asyncio.get_running_loop().time() + MORE_PAUSE_S
