"""Outside authorities and denied certificates in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.anchors import from_row, to_row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.channels.model import Anchor
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

COLUMNS = "id, uri, bundle, lists, fingerprint, subject, created_at"
ADD = f"INSERT INTO anchor ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
LIST = f"SELECT {COLUMNS} FROM anchor ORDER BY seq"
REMOVE = "DELETE FROM anchor WHERE id = ?"
DENY = "INSERT INTO denied_certificate (fingerprint, since) VALUES (?, ?) ON CONFLICT DO NOTHING"
UNDENY = "DELETE FROM denied_certificate WHERE fingerprint = ?"
DENIED = "SELECT fingerprint, since FROM denied_certificate"


class SqliteAnchors(SqliteBook):
    """Implement `channels.ports.AnchorBook`."""

    async def add_anchor(self, anchor: Anchor) -> None:
        """Add an outside authority of an identity; raises AlreadyExists when the id is taken."""
        if not self._db.execute(ADD, to_row(anchor)).rowcount:
            raise AlreadyExists("an anchor has this id")

    async def anchors(self) -> list[Anchor]:
        """List all, oldest first."""
        return [from_row(row) for row in self._db.execute(LIST)]

    async def remove_anchor(self, anchor_id: str) -> bool:
        """Remove one; True if it was there."""
        return self._db.execute(REMOVE, (anchor_id,)).rowcount == 1

    async def deny(self, fingerprint: str, at: Millis) -> None:
        """Deny a certificate by its SHA-256 fingerprint; the first time counts."""
        self._db.execute(DENY, (fingerprint, at))

    async def undeny(self, fingerprint: str) -> bool:
        """Let a denied certificate count again; True if it was denied."""
        return self._db.execute(UNDENY, (fingerprint,)).rowcount == 1

    async def denied(self) -> dict[str, Millis]:
        """Return all denied fingerprints and since when."""
        return dict(self._db.execute(DENIED))
