"""Bound how often each address may try something on a listener that lets strangers in."""

from typing import Final

from tallystick.errors import TooMany
from tallystick.runtime import Clock, Millis

WINDOW_MS: Final = 60_000  # ms
ADDRESSES_MAX: Final = 4_096  # addresses counted in one window; more are refused


class Throttle:
    """Count tries by address in windows of a minute; in memory, so a restart forgets the window at hand."""

    def __init__(self, clock: Clock, *, each_max: int) -> None:
        self._clock = clock
        self._each_max = each_max
        self._window = Millis(0)
        self._tries: dict[str, int] = {}

    def count(self, address: str) -> None:
        """Count one try; raises TooMany when the address, or the number of addresses, is over its bound."""
        window = Millis(self._clock.now() // WINDOW_MS)
        if window != self._window:
            self._window, self._tries = window, {}
        tries = self._tries.get(address, 0) + 1
        if tries > self._each_max or (tries == 1 and len(self._tries) >= ADDRESSES_MAX):
            raise TooMany("too many tries in this minute")
        self._tries[address] = tries
