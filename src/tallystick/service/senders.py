"""Whose key a message must carry: verification keys of channels and institutions, loaded once."""

from typing import Final, Protocol

from tallystick.crypto.signing import Verifier
from tallystick.routing.model import BackEnd
from tallystick.security.model import Sender
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.verify import sender_key

CACHED_MAX: Final = 10_000  # senders whose loaded key is kept; beyond it the cache starts anew


class Institutions(Protocol):
    """Institutions as senders of messages to the platform."""

    async def sender(self, institution: str) -> tuple[BackEnd, Sender]:
        """Return the institution and its key; raises ChannelUnknown when it is not registered as a sender."""
        ...


class SenderKeys:
    """Load verification keys; a changed row gives a new key at once."""

    def __init__(self, keyring: Keyring) -> None:
        self._at_rest = keyring.key(Purpose.AT_REST)
        self._loaded: dict[str, tuple[bytes, Verifier]] = {}

    def key(self, sender: Sender) -> Verifier:
        """Return a sender's verification key."""
        loaded = self._loaded.get(sender.id)
        if loaded is not None and loaded[0] == sender.sealed_key:
            return loaded[1]
        if len(self._loaded) >= CACHED_MAX:
            self._loaded.clear()
        key = sender_key(self._at_rest, sender)
        self._loaded[sender.id] = sender.sealed_key, key
        return key
