"""Long-lived keys in files, held in memory while a process runs (`manifest` says what is in the directory).

Losing a file loses what it protects; back the directory up sealed, apart from the database.
"""

import logging
from pathlib import Path
from typing import Final, Self

from msgspec.structs import replace

from tallystick.adapters.keys import manifest
from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.manifest import KeyEntry
from tallystick.adapters.keys.wrapper import KeyWrapper
from tallystick.crypto.kdf import KEY_BYTES
from tallystick.crypto.signing import Algorithm, Ed25519Private
from tallystick.crypto.versioned import VersionedKey
from tallystick.errors import AlreadyExists, KeyUnknown, Misconfigured, Unavailable
from tallystick.runtime import Clock, Millis, Randomness
from tallystick.security.ports import KeyState, Purpose

LOOK_MS: Final = 1_000  # ms after which a running process notices a rotation at the latest, at its next use of a key
RETIRED_MS: Final = 60_000  # ms a key is verify-only at least, and ms it makes anything without a look at the list
TICK_MS: Final = 100  # ms within which two changes of a directory may bear the same time
NS_PER_MS: Final = 1_000_000

_log = logging.getLogger(__name__)


class _Loaded:
    """All keys of one state of the directory."""

    __slots__ = ("active", "by_version", "entries", "identity", "opening_asked_at", "readable")

    def __init__(self, files: KeyDirectory) -> None:
        self.entries = manifest.read_entries(files)
        self.opening_asked_at = manifest.opening_asked_at(files)
        alive = [entry for entry in self.entries if entry.state is not KeyState.DESTROYED]
        self.by_version = {(entry.purpose, entry.version): manifest.read_key(files, entry) for entry in alive}
        self.active = {
            entry.purpose: self.by_version[entry.purpose, entry.version]
            for entry in alive
            if entry.state is KeyState.ACTIVE
        }
        self.readable = {purpose: self._readable(purpose) for purpose in Purpose}
        self.identity = Ed25519Private.from_raw(self.active[Purpose.IDENTITY].secret)

    def _readable(self, purpose: Purpose) -> tuple[VersionedKey, ...]:
        active = self.active[purpose]
        others = [key for (kind, _), key in self.by_version.items() if kind is purpose and key is not active]
        return (active, *sorted(others, key=lambda key: -key.version))


class FileKeyring:
    """Hold the long-lived keys of a directory in memory (`security.ports.Keyring`).

    With `clock` the directory is looked at every LOOK_MS, when a key is asked for: a rotation by another process is
    followed without a restart. When it cannot be read then, a warning is logged, and the keys so far stay in use: for
    RETIRED_MS to make anything, as no key is destroyed sooner after it was active; without an end to read.
    """

    __slots__ = ("_changed_at", "_clock", "_held", "_looked_at", "_path", "_seen_at", "_wrapper")

    def __init__(self, path: Path, wrapper: KeyWrapper | None = None, clock: Clock | None = None) -> None:
        self._path = path
        self._wrapper = wrapper
        self._clock = clock
        self._looked_at = clock.now() if clock is not None else Millis(0)
        self._seen_at = self._looked_at
        self._changed_at = 0
        self._held = self._read()

    @classmethod
    def create(cls, directory: Path, randomness: Randomness, now: Millis, wrapper: KeyWrapper | None = None) -> Self:
        """Make all keys anew in a directory that has none.

        Raises:
            AlreadyExists: there are key files: keys in use are never replaced. What a crash of this very call left
                behind protects nothing yet; the operator removes it.
            Misconfigured: the directory is open to others, or another process writes to it.
        """
        with KeyDirectory(directory, write=True, wrapper=wrapper) as files:
            if any(name == manifest.MANIFEST or name.endswith(".key") for name in files.names()):
                raise AlreadyExists("the key directory has keys already")
            made = [
                manifest.write_key(files, purpose, VersionedKey(1, randomness.token(KEY_BYTES)), now)
                for purpose in Purpose
            ]
            first = tuple(replace(entry, state=KeyState.ACTIVE, activated_at=now) for entry in made)
            manifest.write_entries(files, first)
        return cls(directory, wrapper)

    @classmethod
    def load(cls, directory: Path, wrapper: KeyWrapper | None = None, clock: Clock | None = None) -> Self:
        """Read all keys; any process of the directory's owner may.

        Raises:
            Misconfigured: a key is missing, damaged, open to others, or stands under another purpose's name.
        """
        return cls(directory, wrapper, clock)

    @property
    def identity(self) -> Ed25519Private:
        """The key that signs the published keys and the platform's own messages."""
        return self._fresh().identity

    def signer(self) -> "LiveIdentity":
        """Return a signer that always signs with the identity key of the moment."""
        return LiveIdentity(self)

    @property
    def opening_asked_at(self) -> Millis:
        """When an operator asked for new part-opening keys, 0 for never."""
        return self._fresh().opening_asked_at

    @property
    def entries(self) -> tuple[KeyEntry, ...]:
        """All keys there ever were, with their states."""
        return self._fresh().entries

    def key(self, purpose: Purpose) -> bytes:
        """Return the secret of the active key; raises Unavailable as `active` does."""
        return self.active(purpose).secret

    def active(self, purpose: Purpose) -> VersionedKey:
        """Return the key to seal, digest and sign with now.

        Raises:
            Unavailable: the directory could not be read for RETIRED_MS: this key may be destroyed by now, and what is
                made under it would be lost. Nothing is made until it can be read again.
        """
        held = self._fresh()
        if self._clock is not None and not 0 <= self._clock.now() - self._seen_at < RETIRED_MS:
            raise Unavailable("the key directory cannot be read, so nothing is made under its keys")
        return held.active[purpose]

    def version(self, purpose: Purpose, version: int) -> VersionedKey:
        """Return the key of one version; raises KeyUnknown when it is destroyed or there was none."""
        found = self._fresh().by_version.get((purpose, version))
        if found is None:
            raise KeyUnknown(f"there is no key {purpose.value}-{version}")
        return found

    def readable(self, purpose: Purpose) -> tuple[VersionedKey, ...]:
        """Return every key that is not destroyed, the active one first."""
        return self._fresh().readable[purpose]

    def _fresh(self) -> _Loaded:
        if self._clock is not None and not 0 <= self._clock.now() - self._looked_at < LOOK_MS:
            self._looked_at = self._clock.now()
            try:
                self._look()
                self._seen_at = self._looked_at
            except (Misconfigured, OSError) as error:
                _log.warning("the key directory cannot be read, the keys so far stay in use: %s", error)
        return self._held

    def _look(self) -> None:
        if self._path.stat().st_mtime_ns != self._changed_at:
            self._held = self._read()

    def _read(self) -> _Loaded:
        with KeyDirectory(self._path, write=False, wrapper=self._wrapper) as files:
            changed_at = files.changed_at()  # before the files: a change while they are read is found at the next look
            held = _Loaded(files)
        settled = self._clock is not None and self._clock.now() - changed_at // NS_PER_MS > TICK_MS
        self._changed_at = changed_at if settled else 0
        return held


class LiveIdentity:
    """Sign with the identity key that is active now (`crypto.signing.Signer`)."""

    algorithm: Final = Algorithm.ED25519
    __slots__ = ("_keyring",)

    def __init__(self, keyring: FileKeyring) -> None:
        self._keyring = keyring

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature."""
        return self._keyring.identity.sign(data)
