"""How often strangers may try."""

import pytest

from tallystick.errors import TooMany
from tallystick.runtime import Millis, SystemClock
from tallystick.service.throttle import ADDRESSES_MAX, WINDOW_MS, Throttle


class StandingClock(SystemClock):
    """A clock that stands where it was put."""

    at = Millis(0)

    def now(self) -> Millis:
        return self.at


def test_an_address_has_its_tries_in_each_minute_and_takes_none_from_another() -> None:
    clock = StandingClock()
    throttle = Throttle(clock, each_max=2)
    for _ in range(2):
        throttle.count("192.0.2.1")
    with pytest.raises(TooMany):
        throttle.count("192.0.2.1")
    throttle.count("192.0.2.2")
    clock.at = Millis(WINDOW_MS)
    throttle.count("192.0.2.1")


def test_the_memory_it_takes_is_bounded() -> None:
    throttle = Throttle(StandingClock(), each_max=2)
    for number in range(ADDRESSES_MAX):
        throttle.count(str(number))
    with pytest.raises(TooMany):
        throttle.count("one more")
    throttle.count("0")
