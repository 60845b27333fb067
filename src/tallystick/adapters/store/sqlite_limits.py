"""Limits and counts in SQLite."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tallystick.adapters.store.rows.texts import ENCODER
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.channels.model import LimitKind, LimitRules, Tally
from tallystick.runtime import Millis

RULES: Final = "SELECT record FROM limit_rules"
PUT_RULES: Final = (
    "INSERT INTO limit_rules (id, record) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record"
)
ADD: Final = """
    INSERT INTO tally (kind, subject, window, ends_at, count) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (kind, subject, window) DO UPDATE SET count = count + excluded.count
    RETURNING count
"""
LIST: Final = "SELECT kind, subject, window, ends_at, count FROM tally WHERE ends_at > ?"
PURGE: Final = """
    DELETE FROM tally WHERE (kind, subject, window) IN
      (SELECT kind, subject, window FROM tally WHERE ends_at <= ? LIMIT ?)
"""
_RULES: Final = msgspec.json.Decoder(LimitRules)


class SqliteLimits(SqliteBook):
    """Implement `channels.ports.LimitBook`."""

    async def limit_rules(self) -> LimitRules | None:
        """Read the limits an operator set; None before the first time."""
        row = self._db.execute(RULES).fetchone()
        return _RULES.decode(row[0]) if row else None

    async def put_limit_rules(self, rules: LimitRules) -> None:
        """Replace them."""
        self._db.execute(PUT_RULES, (ENCODER.encode(rules),))

    async def add_tally(self, more: Tally) -> int:
        """Add to the count of this kind, subject and window, and return the new count."""
        return self._add(more)

    async def add_tallies(self, more: Sequence[Tally]) -> list[int]:
        """Add to the counts of these kinds, subjects and windows, each at most once; return the new ones in order."""
        return [self._add(tally) for tally in more]

    def _add(self, more: Tally) -> int:
        row = (more.kind.value, more.subject, more.window, more.ends_at, more.count)
        total: int = self._db.execute(ADD, row).fetchone()[0]
        return total

    async def tallies(self, now: Millis) -> list[Tally]:
        """List the counts of all windows that are not over."""
        return [
            Tally(kind=LimitKind(kind), subject=subject, window=window, ends_at=ends_at, count=count)
            for kind, subject, window, ends_at, count in self._db.execute(LIST, (now,))
        ]

    async def purge_tallies(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` counts of windows that are over; returns how many went."""
        return self._db.execute(PURGE, (now, limit)).rowcount
