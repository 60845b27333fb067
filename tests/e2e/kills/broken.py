"""A platform with a bug planted, to see the judge catch it: `python -m kills.broken BUG --data DIR serve`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from tallystick import path
from tallystick.cli.main import main
from tallystick.delivery import deliver
from tallystick.delivery.model import Intent, IntentState

LATE_S = 0.3  # s between a receipt and the moment its part is on disk


class _PeekedError(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class _LateStore:
    """A store that says what a work will give, and does it only later."""

    def __init__(self, inner: Any) -> None:
        self.read = inner.read
        self._inner = inner
        self._late: set[asyncio.Task[None]] = set()

    async def transact(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        async def peek(books: Any) -> None:
            raise _PeekedError(await work(books))

        async def later() -> None:
            await asyncio.sleep(LATE_S)
            await self._inner.transact(work)

        try:
            await self._inner.transact(peek)
        except _PeekedError as peeked:
            task = asyncio.create_task(later())
            self._late.add(task)
            return peeked.value


def acknowledge_early() -> None:
    """Answer a part before it is durable."""
    whole = path.accept_opened

    async def accept_opened(platform: path.Platform, opened: path.Opened, **more: Any) -> path.Accepted:
        late: Any = _LateStore(platform.store)
        return await whole(replace(platform, store=late), opened, **more)

    path.accept_opened = accept_opened


def resend_unknown() -> None:
    """Take a send without an answer for one that never left."""
    whole = deliver.settle

    async def settle(books: Any, intent: Intent, outcome: deliver.Outcome, at: Any, *, more: bool = False) -> bool:
        if outcome.state is IntentState.UNKNOWN:
            outcome = deliver.Outcome(state=IntentState.NOT_SENT)
        return await whole(books, intent, outcome, at, more=more)

    deliver.settle = settle


BUGS = {"acknowledge-early": acknowledge_early, "resend-unknown": resend_unknown}


if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    main()
