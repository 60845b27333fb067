"""Seal what the store keeps for long: under the active key of a purpose, named in the value itself."""

from tallystick.crypto import versioned
from tallystick.errors import EnvelopeUnopenable, KeyUnknown
from tallystick.security.ports import Keyring, Purpose


def seal(keyring: Keyring, purpose: Purpose, plaintext: bytes, context: bytes) -> bytes:
    """Seal under the active key; `context` (made by `binding.bind`) says where the value lives."""
    return versioned.seal(keyring.active(purpose), plaintext, context)


def unseal(keyring: Keyring, purpose: Purpose, sealed: bytes, context: bytes) -> bytes:
    """Open a value under the key it names.

    Raises:
        EnvelopeUnopenable: the key is destroyed or unknown, the context another one, or the bytes were altered,
            deliberately in one answer: refuse the operation and raise an alarm.
    """
    try:
        key = keyring.version(purpose, versioned.version_of(sealed))
    except KeyUnknown:
        raise EnvelopeUnopenable("the sealed value does not open") from None
    return versioned.unseal(key, sealed, context)


class Sealing:
    """Seal and open for one purpose (`channels.ports.Sealer`)."""

    def __init__(self, keyring: Keyring, purpose: Purpose) -> None:
        self._keyring = keyring
        self._purpose = purpose

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Seal under the active key."""
        return seal(self._keyring, self._purpose, plaintext, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Open a value under the key it names; raises EnvelopeUnopenable."""
        return unseal(self._keyring, self._purpose, sealed, context)
