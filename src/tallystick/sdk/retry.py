"""When to send a message again: same Idempotency-Key and content, a fresh nonce, and not at once."""

from typing import Final

from tallystick.errors import KeyUnknown, TallystickError
from tallystick.runtime import Randomness
from tallystick.sdk.errors import PlatformProblem, PlatformUnreachable

ATTEMPTS_MAX: Final = 4  # sends of one message
FIRST_WAIT_MS: Final = 250  # ms, the most before the second send; doubles with each
WAIT_MAX_MS: Final = 8_000  # ms, the most that backing off adds
ASKED_WAIT_MAX_S: Final = 30  # s of a Retry-After that are waited; the caller comes back later for a longer one
BUSY: Final = frozenset({429, 503})


def is_unknown_key(failure: TallystickError) -> bool:
    """Tell whether the platform no longer knows the key a message was sealed for: fetch the list, seal anew."""
    return isinstance(failure, PlatformProblem) and failure.code == KeyUnknown.code


def wait_before(failed: int, failure: TallystickError, randomness: Randomness) -> float | None:
    """Return the seconds to wait after send number `failed` (from 1), or None when this failure is not repeated.

    Repeated are: no answer, 429 and 503 (with the time the platform asks for), and a key it no longer knows. The wait
    is uniform in (0, bound], so that clients that failed together do not come back together.
    """
    if failed >= ATTEMPTS_MAX or not _is_passing(failure):
        return None
    asked = failure.retry_after if isinstance(failure, PlatformProblem) and failure.retry_after else 0
    if asked > ASKED_WAIT_MAX_S:
        return None
    bound = min(WAIT_MAX_MS, FIRST_WAIT_MS * 2 ** (failed - 1))
    return asked + (randomness.below(bound) + 1) / 1000


def _is_passing(failure: TallystickError) -> bool:
    if isinstance(failure, PlatformProblem):
        return failure.status in BUSY or is_unknown_key(failure)
    return isinstance(failure, PlatformUnreachable)
