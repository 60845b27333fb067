"""Who sends: the channel or institution that a certificate names, and the key its messages must carry."""

from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from tallystick.channels.admit import INSTITUTION_URI, admit, named
from tallystick.channels.model import Channel
from tallystick.crypto.signing import HmacOverlap, Verifier
from tallystick.crypto.x509 import PeerCertificate
from tallystick.delivery.books import Books, Store
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis
from tallystick.security.model import Sender
from tallystick.security.ports import Keyring
from tallystick.security.verify import sender_key

KNOWN_MS: Final = 1_000  # ms a sender counts as known: so late a suspension takes effect at the latest
KNOWN_MAX: Final = 10_000  # senders kept; beyond it the cache starts anew


class Institutions(Protocol):
    """Institutions as senders of messages to the platform."""

    async def sender(self, institution: str) -> tuple[BackEnd, Sender]:
        """Return the institution and its key; raises ChannelUnknown when it is not registered as a sender."""
        ...


class KnownSender(Struct, frozen=True, kw_only=True):
    """A sender with its key loaded: exactly one of `channel` and `back_end` is there."""

    sender: Sender
    key: Verifier
    channel: Channel | None = None
    back_end: BackEnd | None = None


class Senders:
    """Find the sender that a certificate names; what was found counts for a second, then it is looked up again."""

    def __init__(self, store: Store[Books], institutions: Institutions, keyring: Keyring) -> None:
        self._store = store
        self._institutions = institutions
        self._keyring = keyring
        self._known: dict[str, tuple[Millis, KnownSender]] = {}

    async def find(self, peer: PeerCertificate, now: Millis) -> KnownSender:
        """Return an active channel or a known institution; errors are those of `admit` and `Institutions.sender`.

        The caller has checked revocation, on every request.
        """
        known = self._known.get(peer.fingerprint)
        if known is not None and 0 <= now - known[0] < KNOWN_MS:
            return _own(known[1])
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known.pop(peer.fingerprint, None)
        found = await self._look_up(peer, now)
        self._known[peer.fingerprint] = now, found
        return _own(found)

    async def _look_up(self, peer: PeerCertificate, now: Millis) -> KnownSender:
        if peer.uri is not None and peer.uri.startswith(INSTITUTION_URI):
            back_end, sender = await self._institutions.sender(named(peer, INSTITUTION_URI))
            return KnownSender(sender=sender, key=sender_key(self._keyring, sender), back_end=back_end)
        channel = await self._store.read(lambda books: admit(peer, books))
        sender = Sender(
            id=channel.id,
            algorithm=channel.algorithm,
            sealed_key=channel.sealed_key,
            earlier_key=channel.earlier_key if now < (channel.earlier_until or 0) else None,
        )
        return KnownSender(sender=sender, key=sender_key(self._keyring, sender), channel=channel)


def _own(known: KnownSender) -> KnownSender:
    """Give each request its own state of a key in rotation."""
    if isinstance(known.key, HmacOverlap):
        return replace(known, key=known.key.for_one_request())
    return known
