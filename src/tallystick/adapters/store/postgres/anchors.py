"""Outside authorities and denied certificates in PostgreSQL."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.anchors import from_row, to_row
from tallystick.channels.model import Anchor
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis


class PostgresAnchors(PostgresBook):
    """Implement `channels.ports.AnchorBook`."""

    async def add_anchor(self, anchor: Anchor) -> None:
        """Add an outside authority of an identity; raises AlreadyExists when the id is taken."""
        if not await self._change("add_anchor", *to_row(anchor)):
            raise AlreadyExists("an anchor has this id")

    async def anchors(self) -> list[Anchor]:
        """List all, oldest first."""
        return [from_row(row) for row in await self._rows("anchors")]

    async def remove_anchor(self, anchor_id: str) -> bool:
        """Remove one; True if it was there."""
        return await self._change("remove_anchor", anchor_id) == 1

    async def deny(self, fingerprint: str, at: Millis) -> None:
        """Deny a certificate by its SHA-256 fingerprint; the first time counts."""
        await self._change("deny", fingerprint, at)

    async def undeny(self, fingerprint: str) -> bool:
        """Let a denied certificate count again; True if it was denied."""
        return await self._change("undeny", fingerprint) == 1

    async def denied(self) -> dict[str, Millis]:
        """Return all denied fingerprints and since when."""
        return {fingerprint: Millis(since) for fingerprint, since in await self._rows("denied")}
