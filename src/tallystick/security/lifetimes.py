"""How long a long-lived key makes new values (its cryptoperiod, NIST SP 800-57 part 1 revision 5, section 5.3.6)."""

from collections.abc import Mapping
from typing import Final

from tallystick.runtime import Millis
from tallystick.security.ports import Purpose

DAY_MS: Final = 86_400_000  # ms
WARN_DAYS: Final = 30  # days before its end from which a key's rotation is asked for

CRYPTOPERIOD_DAYS: Final[Mapping[Purpose, int]] = {
    Purpose.AT_REST: 365,
    Purpose.VAULT: 365,
    Purpose.BLIND_INDEX: 730,
    Purpose.ACCESS: 730,
    Purpose.IDENTITY: 730,
}
"""Days a key is active; the standard allows data encryption and MAC keys two years, signature keys one to three."""


def days_left(purpose: Purpose, activated_at: Millis, now: Millis) -> int:
    """Return whole days until a key's cryptoperiod ends; negative once it is over."""
    return (activated_at + CRYPTOPERIOD_DAYS.get(purpose, min(CRYPTOPERIOD_DAYS.values())) * DAY_MS - now) // DAY_MS
