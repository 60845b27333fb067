"""Outside authorities and denied certificates in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

import msgspec

from tallystick.adapters.store.sqlite_book import SqliteBook, to_json
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
PLACES = msgspec.json.Decoder(tuple[str, ...])


class SqliteAnchors(SqliteBook):
    """Implement `channels.ports.AnchorBook`."""

    async def add_anchor(self, anchor: Anchor) -> None:
        """Add an outside authority of an identity; raises AlreadyExists when the id is taken."""
        named = (anchor.fingerprint, anchor.subject, anchor.created_at)
        row = (anchor.id, anchor.uri, anchor.bundle, to_json(anchor.lists), *named)
        if not self._db.execute(ADD, row).rowcount:
            raise AlreadyExists("an anchor has this id")

    async def anchors(self) -> list[Anchor]:
        """List all, oldest first."""
        return [
            Anchor(
                id=id_,
                uri=uri,
                bundle=bundle,
                lists=PLACES.decode(lists),
                fingerprint=fingerprint,
                subject=subject,
                created_at=created_at,
            )
            for id_, uri, bundle, lists, fingerprint, subject, created_at in self._db.execute(LIST)
        ]

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
