"""A keyring in memory, with rotation."""

import hashlib

from tallystick.crypto.versioned import VersionedKey
from tallystick.errors import KeyUnknown
from tallystick.security.ports import KeyState, Purpose


class MemoryKeyring:
    """Keys that follow from a label (`security.ports.Keyring`): never for anything but tests."""

    def __init__(self, label: str = "test") -> None:
        self._label = label
        self._states = {purpose: {1: KeyState.ACTIVE} for purpose in Purpose}

    def key(self, purpose: Purpose) -> bytes:
        """Return the secret of the active key."""
        return self.active(purpose).secret

    def active(self, purpose: Purpose) -> VersionedKey:
        """Return the key to seal and digest with now."""
        return self.readable(purpose)[0]

    def version(self, purpose: Purpose, version: int) -> VersionedKey:
        """Return the key of one version; raises KeyUnknown when it is destroyed or there was none."""
        if self._states[purpose].get(version, KeyState.DESTROYED) is KeyState.DESTROYED:
            raise KeyUnknown("there is no such key")
        return self._made(purpose, version)

    def readable(self, purpose: Purpose) -> tuple[VersionedKey, ...]:
        """Return every key that is not destroyed, the active one first."""
        alive = [version for version, state in self._states[purpose].items() if state is not KeyState.DESTROYED]
        first = next(version for version in alive if self._states[purpose][version] is KeyState.ACTIVE)
        return tuple(self._made(purpose, version) for version in (first, *sorted(set(alive) - {first}, reverse=True)))

    def prepare(self, purpose: Purpose) -> int:
        """Make the next key, pending; returns its version."""
        version = max(self._states[purpose]) + 1
        self._states[purpose][version] = KeyState.PENDING
        return version

    def activate(self, purpose: Purpose, version: int) -> None:
        """Make a key the active one; the one so far only reads."""
        self._states[purpose][self.active(purpose).version] = KeyState.VERIFY_ONLY
        self._states[purpose][version] = KeyState.ACTIVE

    def rotate(self, purpose: Purpose) -> int:
        """Make the next key and activate it at once; returns its version."""
        version = self.prepare(purpose)
        self.activate(purpose, version)
        return version

    def destroy(self, purpose: Purpose, version: int) -> None:
        """Destroy a key."""
        self._states[purpose][version] = KeyState.DESTROYED

    def _made(self, purpose: Purpose, version: int) -> VersionedKey:
        return VersionedKey(version, hashlib.sha256(f"{self._label}/{purpose}/{version}".encode()).digest())
