"""Carry joined payments after their part was acknowledged, a bounded number at a time."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from tallystick import limits
from tallystick.audit.acting import SYSTEM, acting
from tallystick.errors import TallystickError, Unavailable
from tallystick.path import Platform, carry

STOP_GRACE_S: Final = 25.0  # s payments under way may take to finish; longer than a back end's time-out

_log = logging.getLogger(__name__)


class Room:
    """Room for one part and the payment it may complete, held while the part is being accepted.

    Held, and not only looked for: many parts that look at the same time would all find the last place free.
    """

    def __init__(self, places_max: int, carried: Callable[[], int]) -> None:
        self._places_max = places_max
        self._carried = carried
        self._arriving = 0

    def taken(self) -> int:
        """Return how many parts are being accepted and payments carried."""
        return self._arriving + self._carried()

    def __enter__(self) -> None:
        """Take a place; raises Unavailable, before anything is accepted, when there is none."""
        if self.taken() >= self._places_max:
            raise Unavailable("too many payments are under way")
        self._arriving += 1

    def __exit__(self, *_: object) -> None:
        self._arriving -= 1


class Carriers:
    """The payments this process is carrying; `carried` hears the id of each one that comes to rest."""

    def __init__(
        self,
        platform: Platform,
        carried: Callable[[str], None] = lambda _: None,
        *,
        payments_max: int = limits.PATHS_IN_FLIGHT_MAX,
    ) -> None:
        self._platform = platform
        self._carried = carried
        self._payments_max = payments_max
        self._tasks: set[asyncio.Task[None]] = set()
        self.room = Room(payments_max, lambda: len(self._tasks))

    def load(self) -> float:
        """Return how full the house is, 1 when parts are refused."""
        return self.room.taken() / self._payments_max

    def start(self, payment_id: str) -> None:
        """Carry a payment in the background; what this process does not finish, the sweep does."""
        task = asyncio.get_running_loop().create_task(self._carry(payment_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait for the payments under way; cancel what is late: its outcome is UNKNOWN after the next start."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_GRACE_S)
            for task in late:
                task.cancel()

    async def _carry(self, payment_id: str) -> None:
        try:
            with acting(SYSTEM):  # and not the sender in whose task this one was started
                await carry(self._platform, payment_id)
        except TallystickError as error:
            _log.warning("payment %s is left to the sweep: %s", payment_id, error.code)
        except Exception as error:  # noqa: BLE001 - asyncio would print the unforeseen, with whatever its text holds
            _log.error("payment %s is left to the sweep: %s", payment_id, type(error).__name__)
        self._carried(payment_id)
