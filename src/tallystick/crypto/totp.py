"""Time-based one-time codes of an authenticator app (TOTP, RFC 6238)."""

import hmac
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tallystick import limits
from tallystick.runtime import Millis
from tallystick.secret import Secret

KEY_BYTES: Final = 20  # bytes: the length of the digest (RFC 4226 section 4, R6)
STEP_S: Final = 30  # s one code counts
SECOND_MS: Final = 1000  # ms
AROUND: Final = (0, -1, 1)
"""Steps looked at, by distance from now: clocks differ, and people are slow (RFC 6238 section 5.2)."""


def provisioning_uri(key: bytes, account: str, issuer: str) -> Secret:
    """Return the `otpauth://` address that an authenticator app reads off a QR code; it holds the key."""
    return Secret(_totp(key).get_provisioning_uri(account, issuer))


def code_at(key: bytes, at: Millis) -> Secret:
    """Return the code of a moment, as the app shows it."""
    return Secret(_totp(key).generate(at // SECOND_MS).decode())


def matching_step(key: bytes, code: Secret, now: Millis) -> int | None:
    """Return the step whose code this is, out of the one of `now` and its neighbours; None when it is none of them.

    All three are compared, each in constant time. Left to the caller: counting tries before, and taking no step twice.
    """
    step = now // SECOND_MS // STEP_S
    found = [
        step + offset
        for offset in AROUND
        if hmac.compare_digest(_totp(key).generate((step + offset) * STEP_S), code.reveal().encode())
    ]
    return found[0] if found else None


def _totp(key: bytes) -> TOTP:
    # SHA-1: the one hash that every authenticator app knows; HMAC-SHA-1 is not touched by its collisions (RFC 6194).
    return TOTP(key, limits.NUMBER_LENGTH, SHA1(), STEP_S)  # noqa: S303
