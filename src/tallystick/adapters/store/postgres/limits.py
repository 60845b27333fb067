"""Limits and counts in PostgreSQL: one count for all nodes."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.texts import ENCODER
from tallystick.channels.model import LimitKind, LimitRules, Tally
from tallystick.runtime import Millis

RULES: Final = msgspec.json.Decoder(LimitRules)


class PostgresLimits(PostgresBook):
    """Implement `channels.ports.LimitBook`."""

    async def limit_rules(self) -> LimitRules | None:
        """Read the limits an operator set; None before the first time."""
        row = await self._row("limit_rules")
        return None if row is None else RULES.decode(row[0])

    async def put_limit_rules(self, rules: LimitRules) -> None:
        """Replace them."""
        await self._change("put_limit_rules", ENCODER.encode(rules))

    async def add_tally(self, more: Tally) -> int:
        """Add to the count of this kind, subject and window, and return the new count."""
        row = (more.kind.value, more.subject, more.window, more.ends_at, more.count)
        total = await self._changing("add_tally", *row)
        return int(total[0]) if total is not None else 0

    async def add_tallies(self, more: Sequence[Tally]) -> list[int]:
        """Add to the counts of these kinds, subjects and windows, each at most once; return the new ones in order."""
        if not more:
            return []
        given = [(each.subject, each.kind.value, each.window, each.ends_at, each.count) for each in more]
        rows = await self._rows("add_tallies", *map(list, zip(*given, strict=True)))
        self._changed += len(rows)
        totals = {(bytes(subject), kind, window): int(count) for subject, kind, window, count in rows}
        return [totals[each.subject, each.kind.value, each.window] for each in more]

    async def tallies(self, now: Millis) -> list[Tally]:
        """List the counts of all windows that are not over."""
        return [
            Tally(kind=LimitKind(kind), subject=subject, window=window, ends_at=ends_at, count=count)
            for kind, subject, window, ends_at, count in await self._rows("tallies", now)
        ]

    async def purge_tallies(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` counts of windows that are over; returns how many went."""
        return await self._change("purge_tallies", now, limit)
