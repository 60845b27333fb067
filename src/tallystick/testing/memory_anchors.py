"""Outside authorities and denied certificates in memory."""

from tallystick.channels.model import Anchor
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table


class MemoryAnchors(MemoryBook):
    """Implement `channels.ports.AnchorBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._anchors: Table[str, Anchor] = Table(journal)
        self._denied: Table[str, tuple[str, Millis]] = Table(journal)

    async def add_anchor(self, anchor: Anchor) -> None:
        """Add an outside authority of an identity; raises AlreadyExists when the id is taken."""
        if self._anchors.get(anchor.id) is not None:
            raise AlreadyExists("an anchor has this id")
        self._anchors.put(anchor.id, anchor)

    async def anchors(self) -> list[Anchor]:
        """List all, oldest first."""
        return self._anchors.rows()

    async def remove_anchor(self, anchor_id: str) -> bool:
        """Remove one; True if it was there."""
        there = self._anchors.get(anchor_id) is not None
        if there:
            self._anchors.drop(anchor_id)
        return there

    async def deny(self, fingerprint: str, at: Millis) -> None:
        """Deny a certificate by its SHA-256 fingerprint; the first time counts."""
        if self._denied.get(fingerprint) is None:
            self._denied.put(fingerprint, (fingerprint, at))

    async def undeny(self, fingerprint: str) -> bool:
        """Let a denied certificate count again; True if it was denied."""
        there = self._denied.get(fingerprint) is not None
        if there:
            self._denied.drop(fingerprint)
        return there

    async def denied(self) -> dict[str, Millis]:
        """Return all denied fingerprints and since when."""
        return dict(self._denied.rows())
