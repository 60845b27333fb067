"""Links to payers' pages and their sessions in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.capabilities import changing, from_row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.channels.model import Capability, CapabilityState
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

COLUMNS = """id, payment_id, kind, sealed_key, issued_at, expires_at, state, session, session_key, device, network,
    started_at, until"""
ADD = f"INSERT INTO capability ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
FIND = f"SELECT {COLUMNS} FROM capability WHERE id = ?"
BY_SESSION = f"SELECT {COLUMNS} FROM capability WHERE session = ?"
LIST = f"SELECT {COLUMNS} FROM capability WHERE payment_id = ? ORDER BY seq"
REPLACE = """
    UPDATE capability SET state = ?, session = ?, session_key = ?, device = ?, network = ?, started_at = ?, until = ?
    WHERE id = ? AND state = ?
"""
PURGE = """
    DELETE FROM capability WHERE seq IN (
      SELECT seq FROM capability WHERE expires_at <= ?1 AND ifnull(until, 0) <= ?1 ORDER BY expires_at LIMIT ?2
    )
"""


class SqliteCapabilities(SqliteBook):
    """Implement `channels.ports.CapabilityBook`."""

    async def add_capability(self, capability: Capability) -> None:
        """Add an issued one; raises AlreadyExists when the id is taken."""
        fixed = (capability.id, capability.payment_id, capability.kind.value, capability.sealed_key)
        row = (*fixed, capability.issued_at, capability.expires_at, *changing(capability))
        if not self._db.execute(ADD, row).rowcount:
            raise AlreadyExists("a link has this id")

    async def capability(self, capability_id: str) -> Capability | None:
        """Find one by its own id."""
        row = self._db.execute(FIND, (capability_id,)).fetchone()
        return from_row(row) if row else None

    async def page_session(self, session: str) -> Capability | None:
        """Find the one that a session was started with."""
        row = self._db.execute(BY_SESSION, (session,)).fetchone()
        return from_row(row) if row else None

    async def capabilities_of(self, payment_id: str) -> list[Capability]:
        """List those of a payment, oldest first."""
        return [from_row(row) for row in self._db.execute(LIST, (payment_id,))]

    async def replace_capability(self, capability: Capability, *, expected: CapabilityState) -> bool:
        """Store a changed one by compare-and-set on its state; True if it was `expected`."""
        row = (*changing(capability), capability.id, expected.value)
        return self._db.execute(REPLACE, row).rowcount == 1

    async def purge_capabilities(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` whose link and session are both over; returns how many went."""
        return self._db.execute(PURGE, (now, limit)).rowcount
