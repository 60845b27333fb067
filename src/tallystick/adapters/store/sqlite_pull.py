"""Deliveries that back ends fetch, in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.pull import changing, from_row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.delivery.model import PullDelivery, PullState
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

COLUMNS = "key, back_end, visible_until, state, body, verdict, code, approval, due_at"
ADD = f"INSERT INTO pull ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
FIND = f"SELECT {COLUMNS} FROM pull WHERE key = ?"
REPLACE = """
    UPDATE pull SET state = ?, body = ?, verdict = ?, code = ?, approval = ?, due_at = ? WHERE key = ? AND state = ?
"""
NEXT_REVERSAL = f"""
    SELECT {COLUMNS} FROM pull WHERE state = 'cancel_asked' AND back_end = ? AND due_at <= ?
    ORDER BY due_at, seq LIMIT 1
"""
NEXT_WAITING = f"""
    SELECT {COLUMNS} FROM pull WHERE state = 'waiting' AND back_end = ? AND visible_until > ? ORDER BY seq LIMIT 1
"""
NOTE_POLL = "INSERT INTO poll (back_end, at) VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at"
POLLED_AT = "SELECT at FROM poll WHERE back_end = ?"


class SqlitePulls(SqliteBook):
    """Implement `delivery.ports.PullBook`."""

    async def add_pull(self, delivery: PullDelivery) -> None:
        """Add a delivery; raises AlreadyExists when its key is taken."""
        row = (delivery.key, delivery.back_end, delivery.visible_until, delivery.state.value, *changing(delivery))
        if not self._db.execute(ADD, row).rowcount:
            raise AlreadyExists("a delivery has this key")

    async def pull(self, key: str) -> PullDelivery | None:
        """Find a delivery."""
        return from_row(self._db.execute(FIND, (key,)).fetchone())

    async def replace_pull(self, delivery: PullDelivery, *, expected: PullState) -> bool:
        """Store a changed delivery by compare-and-set on its state; True if it was `expected`."""
        row = (delivery.state.value, *changing(delivery), delivery.key, expected.value)
        return self._db.execute(REPLACE, row).rowcount == 1

    async def next_pull(self, back_end: str, now: Millis) -> PullDelivery | None:
        """Find what a back end is handed next: the reversal longest due, else the oldest delivery still visible."""
        reversal = self._db.execute(NEXT_REVERSAL, (back_end, now)).fetchone()
        return from_row(reversal or self._db.execute(NEXT_WAITING, (back_end, now)).fetchone())

    async def note_poll(self, back_end: str, at: Millis) -> None:
        """Note that a back end asked for deliveries."""
        self._db.execute(NOTE_POLL, (back_end, at))

    async def polled_at(self, back_end: str) -> Millis | None:
        """Return when a back end was last noted to ask."""
        row = self._db.execute(POLLED_AT, (back_end,)).fetchone()
        return Millis(row[0]) if row else None
