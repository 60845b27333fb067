"""What this stage needs of a store and of a keyring."""

from enum import StrEnum
from typing import Protocol

from tallystick.crypto.box import SealingKey
from tallystick.crypto.versioned import VersionedKey
from tallystick.runtime import Millis
from tallystick.security.model import StoredAnswer


class ReplayBook(Protocol):
    """Nonces and idempotent answers, inside one transaction."""

    async def remember_nonce(self, sender: str, nonce: str, until: Millis) -> None:
        """Use up a nonce; raises Replayed when this sender used it before."""
        ...

    async def stored_answer(self, sender: str, key: str) -> StoredAnswer | None:
        """Find the answer kept for an Idempotency-Key of this sender."""
        ...

    async def keep_answer(self, sender: str, key: str, answer: StoredAnswer, until: Millis) -> None:
        """Keep an answer until the given time."""
        ...

    async def purge_replay(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` nonces and as many answers whose time is over; returns how many rows went."""
        ...


class Purpose(StrEnum):
    """What a long-lived key is for; purposes never mix."""

    BLIND_INDEX = "blind-index"
    AT_REST = "at-rest"
    VAULT = "vault"
    IDENTITY = "identity"
    ACCESS = "access"


class KeyState(StrEnum):
    """Where a key is in its life; it only ever moves down this list (NIST SP 800-57 part 1, section 7)."""

    PENDING = "pending"
    ACTIVE = "active"
    VERIFY_ONLY = "verify-only"
    DESTROYED = "destroyed"


class Opener(Protocol):
    """The private half of a part-opening key."""

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """Open an envelope bound to `info`; raises EnvelopeUnopenable, always the same."""
        ...


class OpeningKeys(Protocol):
    """Short-lived part-opening keys, published with overlap and then destroyed."""

    def opener(self, key_id: str, now: Millis) -> Opener:
        """Return the opener; raises KeyUnknown when the key never existed, is over or was destroyed."""
        ...

    def published(self, now: Millis) -> str:
        """Return the signed list of public keys (a JWS by the identity key)."""
        ...

    def rotate(self, now: Millis) -> list[str]:
        """Make the keys that are due and destroy those that are over; returns the ids destroyed."""
        ...


class Keyring(Protocol):
    """Long-lived keys by purpose: one active key each, which seals; the others only read.

    Every call may follow a rotation by another process: hold no key longer than one piece of work.
    """

    def key(self, purpose: Purpose) -> bytes:
        """Return the secret of the active key, for what no later key has to read: nothing names its version."""
        ...

    def active(self, purpose: Purpose) -> VersionedKey:
        """Return the key to seal, digest and sign with now."""
        ...

    def version(self, purpose: Purpose, version: int) -> VersionedKey:
        """Return the key of one version, unless it is destroyed; raises KeyUnknown: what it sealed is gone for good."""
        ...

    def readable(self, purpose: Purpose) -> tuple[VersionedKey, ...]:
        """Return every key that is not destroyed, the active one first: a digest may be under any of them."""
        ...


class EpochKeys(Protocol):
    """At-rest keys of parts, each used for one epoch and then destroyed."""

    def current(self, now: Millis) -> str:
        """Return the id of the epoch to seal under now, with its key durable before this returns."""
        ...

    def key(self, epoch: str) -> SealingKey:
        """Return an epoch's key; raises KeyUnknown once it is destroyed."""
        ...

    def destroy_before(self, now: Millis) -> list[str]:
        """Destroy every epoch key older than `limits.EPOCH_KEPT_MS`; returns their ids."""
        ...
