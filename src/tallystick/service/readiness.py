"""Whether a process wants new requests: what a balancer or supervisor asks, and the words it is answered in."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tallystick import limits

CHECK_S: Final = 1.0  # s one check may take; longer is a fault
STARTING: Final = "starting"
DRAINING: Final = "draining"
OVERLOADED: Final = "overloaded"

_log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[object]]


class Readiness:
    """Tell what keeps a process from taking requests: nothing, when it is ready.

    `checks` raise while what they are named for is not there. `loads` say how full a queue is, 1 at
    its bound: from `limits.HIGH_WATER` on the process is overloaded, until all are below `limits.LOW_WATER`, so that a
    balancer turns away before requests are refused, and does not turn back at the first free place.
    """

    def __init__(self, checks: Mapping[str, Check], loads: tuple[Callable[[], float], ...] = ()) -> None:
        self._checks = checks
        self._loads = loads
        self._full = False
        self._phase: str | None = STARTING

    def begin(self) -> None:
        """Be ready: all listeners accept."""
        self._phase = None

    def drain(self) -> None:
        """Be ready no more: the process ends soon."""
        self._phase = DRAINING

    async def faults(self) -> tuple[str, ...]:
        """Return a word for each reason not to send requests here."""
        found = [self._phase] if self._phase is not None else []
        if self._overloaded():
            found.append(OVERLOADED)
        for name, check in self._checks.items():
            try:
                async with asyncio.timeout(CHECK_S):
                    await check()
            except Exception as failure:  # noqa: BLE001 - whatever keeps a check from its end keeps payments from theirs
                _log.warning("not ready, %s: %s", name, type(failure).__name__)
                found.append(name)
        return tuple(found)

    def _overloaded(self) -> bool:
        fullest = max((load() for load in self._loads), default=0.0)
        self._full = fullest >= (limits.LOW_WATER if self._full else limits.HIGH_WATER)
        return self._full
