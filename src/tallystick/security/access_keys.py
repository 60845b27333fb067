"""The keys of the stage `channels`, out of the keyring: asked for anew each time, so that a rotation counts at once."""

from dataclasses import dataclass

from tallystick.crypto.versioned import VersionedKey
from tallystick.security.ports import Keyring, Purpose


@dataclass(frozen=True, slots=True)
class KeyringAccess:
    """Implement `channels.ports.AccessKeys` on a keyring."""

    keyring: Keyring

    def active(self) -> VersionedKey:
        """Return the key to digest with now."""
        return self.keyring.active(Purpose.ACCESS)

    def version(self, version: int) -> VersionedKey:
        """Return the key of one version; raises KeyUnknown."""
        return self.keyring.version(Purpose.ACCESS, version)
