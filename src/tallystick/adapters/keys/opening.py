"""Part-opening keys in files: made, published under the identity key's signature, and destroyed on time."""

import base64
import contextlib
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from tallystick import limits
from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.wrapper import KeyWrapper
from tallystick.crypto.hpke import OpeningKey, Suite
from tallystick.crypto.jose import JweKey, sign_jws
from tallystick.crypto.signing import Ed25519Private
from tallystick.errors import AlreadyExists, EnvelopeUnopenable, KeyUnknown, Misconfigured, NotFound, Unavailable
from tallystick.runtime import ID_BYTES, Millis
from tallystick.security.ports import Opener
from tallystick.wire.keys import IDENTITY_KID, JWE_SUITE, LIST_TYPE, KeyList, PublishedKey

KEY_ID: Final = re.compile(r"pk_[0-9a-f]{32}")
SUITES: Final = (Suite.MLKEM768_X25519.value, Suite.P256.value, JWE_SUITE)
"""One key of each is current at any time, published in this order."""


class _KeyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key file holds: a key that is published for `limits.OPENING_KEY_LIFE_MS` after `made_at`."""

    suite: str
    private: bytes
    made_at: int


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """A key in memory; `opens_until` is the overlap after its last publication."""

    suite: str
    made_at: int
    opens_until: int
    opener: Opener
    published: PublishedKey


class JweOpener:
    """Open the bytes of a compact JWE (`security.ports.Opener`)."""

    def __init__(self, key: JweKey) -> None:
        self._key = key

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """Open a compact JWE; raises EnvelopeUnopenable, AlgorithmRefused or KeyUnknown for its public header."""
        try:
            token = sealed.decode("ascii")
        except UnicodeDecodeError:
            raise EnvelopeUnopenable("this is no compact token") from None
        return self._key.open(token, info)


def _successor(platform: bytes, suite: str, before: _Held | None, now: Millis) -> str:
    """Name the one key that follows another one on a platform; without one before, that of this hour."""
    follows = before.published.id if before is not None else f"none {now // limits.OPENING_KEY_OVERLAP_MS}"
    return f"pk_{hashlib.sha256(platform + f'{suite} {follows}'.encode()).hexdigest()[: 2 * ID_BYTES]}"


class FileOpeningKeys:
    """Keep part-opening keys in a directory and in memory (`security.ports.OpeningKeys`).

    A key is published for `limits.OPENING_KEY_LIFE_MS` and opens for `limits.OPENING_KEY_OVERLAP_MS` more, so a sender
    may hold the list it fetched last for that overlap. `identity` returns the key that signs the list now,
    `asked_at` the time before which no published key may have been made. With `write`
    the caller calls `rotate` at the start and then at least every few minutes. Processes that share the directory
    agree: a key has one successor, whoever makes it, and one that a message names is found whoever made it. Without
    `write` the object reads what they wrote before, and changes nothing.

    Raises:
        Misconfigured: the directory is unfit (`KeyDirectory`), or a key in it is damaged.
    """

    def __init__(
        self,
        directory: Path,
        identity: Callable[[], Ed25519Private],
        *,
        policies: tuple[str, ...] = (),
        asked_at: Callable[[], Millis] = lambda: Millis(0),
        write: bool = True,
        wrapper: KeyWrapper | None = None,
    ) -> None:
        self._files = KeyDirectory(directory, write=write, shared=True, wrapper=wrapper)
        self._identity = identity
        self._policies = policies
        self._asked_at = asked_at
        self._held: dict[str, _Held] = {}
        self._list: str | None = None
        self._signed_by: Ed25519Private | None = None
        self._look()

    def opener(self, key_id: str, now: Millis) -> Opener:
        """Return the opener; raises KeyUnknown when the key never existed, is over or was destroyed."""
        if key_id not in self._held and KEY_ID.fullmatch(key_id) is not None:
            self._take(key_id)  # another process may have made it
        held = self._held.get(key_id)
        if held is None or now >= held.opens_until:
            raise KeyUnknown("the platform holds no such opening key now")
        return held.opener

    def published(self, now: Millis) -> str:
        """Return the newest key of each suite as a compact JWS of `wire.keys.KeyList`, until the next change the same.

        Raises:
            Unavailable: a suite has no key that opens now: `rotate` was not called.
        """
        newest = self._newest()
        if any(suite not in newest or now >= newest[suite].opens_until for suite in SUITES):
            raise Unavailable("no part-opening key is ready yet")
        identity = self._identity()
        if self._list is None or identity is not self._signed_by:
            keys = tuple(newest[suite].published for suite in SUITES)
            payload = msgspec.json.encode(KeyList(issued=now, keys=keys, policies=self._policies))
            self._list = sign_jws(identity, payload, IDENTITY_KID, LIST_TYPE)
            self._signed_by = identity
        return self._list

    def rotate(self, now: Millis) -> list[str]:
        """Make the keys that are due and destroy those that are over; returns the ids destroyed.

        A key is durable before it is published.
        """
        self._look()
        newest, asked_at = self._newest(), self._asked_at()
        for suite in SUITES:
            held = newest.get(suite)
            if held is None or held.made_at < asked_at or now >= held.made_at + limits.OPENING_KEY_LIFE_MS:
                self._make(suite, held, now)
        over = [key_id for key_id, held in self._held.items() if now >= held.opens_until]
        for key_id in over:
            del self._held[key_id]
            self._files.destroy(key_id)
        return over

    def lives(self) -> dict[str, tuple[Millis, Millis]]:
        """Return from when until when each key that is there opens what is sent."""
        return {key_id: (Millis(held.made_at), Millis(held.opens_until)) for key_id, held in self._held.items()}

    def identity_pem(self) -> bytes:
        """Return the public identity key (SubjectPublicKeyInfo, PEM): senders get it by another way and pin it."""
        return self._identity().public().pem()

    def close(self) -> None:
        """Give the directory up."""
        self._files.close()

    def _newest(self) -> dict[str, _Held]:
        by_age = sorted(self._held.values(), key=lambda held: held.made_at)
        return {held.suite: held for held in by_age}

    def _look(self) -> None:
        """Take the keys that other processes made, and forget those that they destroyed."""
        names = self._files.names()
        for key_id in self._held.keys() - names:
            del self._held[key_id]
        for key_id in names:
            if key_id not in self._held:
                self._take(key_id)

    def _take(self, key_id: str) -> None:
        with contextlib.suppress(NotFound):  # it was destroyed just now, or never was
            self._held[key_id] = self._load(key_id)
            self._list = None

    def _make(self, suite: str, before: _Held | None, now: Millis) -> None:
        """Make the successor of a key, unless another process does so just now: then that one's is taken."""
        key_id = _successor(self._identity().public().raw(), suite, before, now)
        if suite == JWE_SUITE:
            private = JweKey.generate(key_id).private_bytes()
        else:
            private = OpeningKey.generate(Suite(suite)).private_bytes()
        with contextlib.suppress(AlreadyExists):
            self._files.create(key_id, msgspec.json.encode(_KeyFile(suite=suite, private=private, made_at=now)))
        self._take(key_id)

    def _load(self, key_id: str) -> _Held:
        try:
            stored = msgspec.json.decode(self._files.adopt(key_id), type=_KeyFile)
        except msgspec.DecodeError:
            raise Misconfigured(f"the opening key is damaged: {key_id}") from None
        if stored.suite not in SUITES:
            raise Misconfigured(f"the opening key is of a suite this version does not know: {key_id}")
        opens_until = stored.made_at + limits.OPENING_KEY_LIFE_MS + limits.OPENING_KEY_OVERLAP_MS
        opener: Opener
        public: str | dict[str, str]
        if stored.suite == JWE_SUITE:
            jwe = JweKey.from_private(key_id, stored.private)
            opener, public = JweOpener(jwe), jwe.public_jwk()
        else:
            hpke = OpeningKey.from_private(Suite(stored.suite), stored.private)
            opener, public = hpke, base64.urlsafe_b64encode(hpke.public).decode().rstrip("=")
        published = PublishedKey(
            id=key_id,
            format="jwe" if stored.suite == JWE_SUITE else "hpke",
            suite=stored.suite,
            public=public,
            not_before=stored.made_at - limits.FRESHNESS_MS,  # for a sender whose clock is late
            not_after=opens_until,
        )
        return _Held(
            suite=stored.suite, made_at=stored.made_at, opens_until=opens_until, opener=opener, published=published
        )
