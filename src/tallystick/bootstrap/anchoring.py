"""The anchors of a serving process, read from the store and kept new: who may vouch for whom, and what is revoked."""

import logging

from tallystick.adapters.ca_files import RevocationList
from tallystick.adapters.outside_lists import OutsideLists
from tallystick.bootstrap.office import Office
from tallystick.channels.model import Anchor
from tallystick.channels.ports import AnchorBook
from tallystick.channels.trust import TrustBook
from tallystick.crypto import tls
from tallystick.errors import TallystickError
from tallystick.runtime import Millis

_log = logging.getLogger(__name__)


class Anchoring:
    """Hold the trust book and the lists of outside authorities; `changes` counts what the TLS contexts must follow."""

    def __init__(self, desk: Office) -> None:
        self._desk = desk
        self.lists = OutsideLists(desk.layout.anchors, desk.clock)
        self.own = RevocationList(desk.ca.crl, desk.ca.issuer)
        self.book = TrustBook(desk.ca.issuer.read_bytes(), self.own, self.lists)
        self.changes = 0

    async def look(self) -> None:
        """Read anchors and refusals; one that cannot be read leaves those before, until they are stale."""
        try:
            anchors, denied = await self._desk.store.read(_read)
            if self.book.take(anchors, denied, self._desk.clock.now()):
                self.lists.take(self.book.outside)
                self.changes += 1
        except TallystickError as error:
            _log.error("trust anchors cannot be read: %s", error.detail)

    async def fetch(self) -> None:
        """Fetch the revocation lists that are due."""
        if await self.lists.look():
            self.changes += 1

    def listener_trust(self) -> bytes:
        """Return every authority that a client certificate may come from, PEM."""
        return b"".join([self._desk.ca.trust.read_bytes(), *(found.pem for _, found in self.book.outside)])

    def trust_of(self, uri: str) -> tuple[bytes, tls.Lists | None]:
        """Return whom a connection to an identity believes, and by which revocation lists.

        With outside authorities, a list of each that signed a certificate of the path must be there. Lists of an anchor
        are wanted from all or none of an identity's anchors, which `ca anchor add` sees to.
        """
        ca, found = self._desk.ca, self.book.authorities_of(uri)
        if not found:
            return ca.trust.read_bytes(), tls.Lists((ca.crl,), whole_chain=False)
        pem = b"".join(authorities.pem for _, authorities in found)
        if not all(anchor.lists for anchor, _ in found):
            return pem, None
        files = [self.lists.file(anchor.id) for anchor, _ in found]
        return pem, tls.Lists(tuple(file for file in files if file.exists()), whole_chain=True)


async def _read(books: AnchorBook) -> tuple[list[Anchor], dict[str, Millis]]:
    return await books.anchors(), await books.denied()
