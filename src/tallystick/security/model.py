"""Senders, arrivals and what an opened message is."""

from collections.abc import Mapping

from msgspec import Struct

from tallystick.runtime import Millis


class Sender(Struct, frozen=True, kw_only=True):
    """Whose key a message must carry: a channel or an institution, known from its certificate.

    `earlier_key` is the sealed MAC key that a rotation replaced, while it still counts.
    """

    id: str
    algorithm: str
    sealed_key: bytes
    earlier_key: bytes | None = None


class Arrival(Struct, frozen=True, kw_only=True):
    """One HTTP request as it came from the listener; header names are lower-case, `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    at: Millis


class StoredAnswer(Struct, frozen=True, kw_only=True):
    """The sealed answer kept for an Idempotency-Key; `fingerprint` is the keyed digest of the content it answered."""

    fingerprint: bytes
    body: bytes
