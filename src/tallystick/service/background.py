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


class Carriers:
    """The payments this process is carrying; `carried` hears the id of each one that comes to rest."""

    def __init__(self, platform: Platform, carried: Callable[[str], None] = lambda _: None) -> None:
        self._platform = platform
        self._carried = carried
        self._tasks: set[asyncio.Task[None]] = set()

    def require_room(self) -> None:
        """Refuse a part before it is accepted when too many payments are under way; raises Unavailable."""
        if len(self._tasks) >= limits.PATHS_IN_FLIGHT_MAX:
            raise Unavailable("too many payments are under way")

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
