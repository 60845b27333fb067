"""Limits and counts in memory."""

from collections.abc import Sequence

from msgspec.structs import replace

from tallystick.channels.model import LimitKind, LimitRules, Tally
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table

Key = tuple[LimitKind, bytes, Millis]


class MemoryLimits(MemoryBook):
    """Implement `channels.ports.LimitBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._limit_rules: Table[int, LimitRules] = Table(journal)
        self._tallies: Table[Key, Tally] = Table(journal)

    async def limit_rules(self) -> LimitRules | None:
        """Read the limits an operator set; None before the first time."""
        return self._limit_rules.get(1)

    async def put_limit_rules(self, rules: LimitRules) -> None:
        """Replace them."""
        self._limit_rules.put(1, rules)

    async def add_tally(self, more: Tally) -> int:
        """Add to the count of this kind, subject and window, and return the new count."""
        return self._add(more)

    async def add_tallies(self, more: Sequence[Tally]) -> list[int]:
        """Add to the counts of these kinds, subjects and windows, each at most once; return the new ones in order."""
        return [self._add(tally) for tally in more]

    def _add(self, more: Tally) -> int:
        key = (more.kind, more.subject, more.window)
        found = self._tallies.get(key)
        total = more.count + (found.count if found is not None else 0)
        self._tallies.put(key, replace(found or more, count=total))
        return total

    async def tallies(self, now: Millis) -> list[Tally]:
        """List the counts of all windows that are not over."""
        return [tally for tally in self._tallies.rows() if tally.ends_at > now]

    async def purge_tallies(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` counts of windows that are over; returns how many went."""
        over = [key for key, tally in self._tallies.items() if tally.ends_at <= now][:limit]
        for key in over:
            self._tallies.drop(key)
        return len(over)
