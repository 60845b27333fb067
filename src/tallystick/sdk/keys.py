"""The platform's published keys: proven by the pinned identity key, chosen by suite, fetched again in time."""

from typing import Final

import msgspec

from tallystick import limits
from tallystick.crypto.jose import verify_jws
from tallystick.crypto.signing import Pinned
from tallystick.errors import TallystickError
from tallystick.runtime import Millis
from tallystick.sdk.errors import AnswerNotProven, AnswerUnreadable, NoUsableKey
from tallystick.wire.keys import IDENTITY_KID, LIST_TYPE, KeyList, PublishedKey

KEYS_TARGET: Final = "/.well-known/tallystick-keys"
REFRESH_MS: Final = limits.OPENING_KEY_OVERLAP_MS // 2  # ms a list is used; well within the overlap of its keys


def read_key_list(token: bytes, identity: Pinned) -> KeyList:
    """Return the key list of a compact JWS.

    1. An identity key that this client was configured with signed it, as a key list: AnswerNotProven.
    2. It has the documented shape: AnswerUnreadable.
    Left to the caller: that the key it takes is valid now (`HeldKeys.newest`), which bounds how old a list can be.
    """
    # 1.
    payload = _proven(token, identity)
    # 2.
    try:
        return msgspec.json.decode(payload, type=KeyList)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise AnswerUnreadable("the key list has not the documented shape") from error


def _proven(token: bytes, identity: Pinned) -> bytes:
    cause: Exception | None = None
    for key in identity.keys:
        try:
            return verify_jws(key, token.decode("ascii"), IDENTITY_KID, LIST_TYPE)
        except (TallystickError, UnicodeDecodeError) as error:
            cause = error
    raise AnswerNotProven("the key list is not signed by the platform's identity key") from cause


class HeldKeys:
    """Hold the last proven list for one suite; tell when to fetch it again."""

    __slots__ = ("_identity", "_list", "_suite", "_taken_at")

    def __init__(self, identity: Pinned, suite: str) -> None:
        self._identity = identity
        self._suite = suite
        self._list: KeyList | None = None
        self._taken_at = Millis(0)

    def take(self, token: bytes, now: Millis) -> None:
        """Hold a fetched list instead of the last one; raises as `read_key_list`, and then keeps the last one."""
        self._list = read_key_list(token, self._identity)
        self._taken_at = now

    def forget(self) -> None:
        """Drop the list: the platform no longer knows a key of it."""
        self._list = None

    def due(self, now: Millis) -> bool:
        """Tell whether to fetch the list now; until that succeeds, a key that is still valid may be used."""
        return self._list is None or now >= self._taken_at + REFRESH_MS

    def usable(self, now: Millis) -> list[PublishedKey]:
        """Return the held keys of the suite that are valid now."""
        listed = self._list.keys if self._list is not None else ()
        return [key for key in listed if key.suite == self._suite and key.not_before <= now < key.not_after]

    def newest(self, now: Millis) -> PublishedKey:
        """Return the newest key of the suite that is valid now; raises NoUsableKey."""
        usable = self.usable(now)
        if not usable:
            raise NoUsableKey(f"the platform publishes no key of {self._suite} that is valid now")
        return max(usable, key=lambda key: key.not_before)

    def policies(self) -> tuple[str, ...]:
        """Return the names of the platform's split policies; empty before the first list."""
        return self._list.policies if self._list is not None else ()
