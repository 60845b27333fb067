"""The log of events in SQLite."""

from tallystick.adapters.store.rows.events import from_row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.assembly.facts import TOLD_STATES, PaymentState
from tallystick.outcomes.model import Event
from tallystick.runtime import Millis

ADD = "INSERT INTO event (payment_id, state, at, first, owner) SELECT ?1, ?2, ?3, ?4, owner FROM payment WHERE id = ?1"
AFTER = "SELECT seq, payment_id, state, at, first FROM event WHERE seq > ? ORDER BY seq LIMIT ?"
OF_OWNER = "SELECT seq, payment_id, state, at, first FROM event WHERE owner = ? AND seq > ? ORDER BY seq LIMIT ?"
ANNOUNCED = "SELECT seq FROM announced"
NOTE_ANNOUNCED = "UPDATE announced SET seq = ?"
PURGE = """
    DELETE FROM event WHERE at < ?1 AND seq IN (
      SELECT seq FROM event WHERE seq < (SELECT seq FROM announced) ORDER BY seq LIMIT ?2
    )
"""


class SqliteEvents(SqliteBook):
    """Implement `outcomes.ports.EventBook`, and write the log for the book of payments."""

    async def events_after(self, seq: int, limit: int) -> list[Event]:
        """List events with a higher `seq`, in order."""
        return [from_row(row) for row in self._db.execute(AFTER, (seq, limit))]

    async def events_of(self, owner: str, seq: int, limit: int) -> list[Event]:
        """List the events of an owner's payments with a higher `seq`, in order."""
        return [from_row(row) for row in self._db.execute(OF_OWNER, (owner, seq, limit))]

    async def announced(self) -> int:
        """Return the `seq` up to which events were turned into webhooks; 0 before the first."""
        seq: int = self._db.execute(ANNOUNCED).fetchone()[0]
        return seq

    async def note_announced(self, seq: int) -> None:
        """Move that mark."""
        self._db.execute(NOTE_ANNOUNCED, (seq,))

    async def purge_events(self, before: Millis, limit: int) -> int:
        """Delete at most `limit` announced events older than `before`, never the last one; returns how many."""
        return self._db.execute(PURGE, (before, limit)).rowcount

    def _note_event(self, payment_id: str, was: PaymentState | None, state: PaymentState, at: Millis) -> None:
        """Log that a payment entered a state, if it is one that is told; `was` is None for one that never is."""
        if state in TOLD_STATES and state is not was:
            self._db.execute(ADD, (payment_id, state.value, at, was not in TOLD_STATES))
