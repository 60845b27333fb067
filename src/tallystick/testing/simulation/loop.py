"""An event loop whose time is virtual and whose turns a seed chooses: no sockets, no threads, no waiting.

Whatever is ready runs in an order that the seed shuffles; when nothing is ready the time jumps to the next timer. The
same seed gives the same run, on any machine and under any PYTHONHASHSEED, as long as what runs takes time, randomness
and order from nowhere else.
"""

import asyncio
import random
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from tallystick.runtime import Millis

T = TypeVar("T")

ROUNDS_MAX: Final = 2_000_000  # rounds of one run: more are a loop that never waits


class NothingLeft(RuntimeError):
    """Everything waits for something that will never come: the simulated world is stuck."""


class _Jumper:
    """Stands where a loop has its selector: instead of waiting, it moves the time."""

    def __init__(self, loop: "SimulatedLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        """Shuffle what is ready, or jump to the next timer."""
        self._loop.turn(timeout)
        return []

    def close(self) -> None:
        """Hold nothing."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Implement an event loop over virtual seconds; `choices` decides the order of what is ready at the same time.

    `unheard` holds what asyncio would have printed: exceptions that nobody awaited.
    """

    def __init__(self, choices: random.Random, start: Millis) -> None:
        super().__init__()
        self.unheard: list[dict[str, Any]] = []
        self._start = start
        self._seconds = 0.0
        self._choices = choices
        self._rounds = 0
        self._selector = _Jumper(self)
        self._ready: deque[asyncio.Handle]
        self.set_exception_handler(lambda _, context: self.unheard.append(context))

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._seconds

    def millis(self) -> Millis:
        """Return the virtual time."""
        return Millis(self._start + round(self._seconds * 1000))

    def turn(self, timeout: float | None) -> None:
        """Shuffle what is ready; without any, jump by `timeout`. Raises NothingLeft when there is no timer either."""
        self._rounds += 1
        if timeout is None or self._rounds > ROUNDS_MAX:
            raise NothingLeft("nothing is ready and no timer runs, or the loop never rests")
        if timeout:
            self._seconds += timeout
        elif len(self._ready) > 1:
            handles = list(self._ready)
            self._choices.shuffle(handles)
            self._ready.clear()
            self._ready.extend(handles)

    def _process_events(self, event_list: list[object]) -> None:
        """Take none: there are no sockets."""

    def _write_to_self(self) -> None:
        """Wake nobody: there are no threads."""


def run(main: Coroutine[Any, Any, T], loop: SimulatedLoop) -> T:
    """Run `main` to its end on a loop of its own, then end every task that is left, and close the loop."""
    try:
        return loop.run_until_complete(main)
    finally:
        try:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(_wait(left))
        finally:
            loop.close()


async def _wait(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
