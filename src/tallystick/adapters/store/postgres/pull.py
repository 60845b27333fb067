"""Deliveries that back ends fetch, in PostgreSQL."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.pull import changing, from_row
from tallystick.delivery.model import PullDelivery, PullState
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis


class PostgresPulls(PostgresBook):
    """Implement `delivery.ports.PullBook`."""

    async def add_pull(self, delivery: PullDelivery) -> None:
        """Add a delivery; raises AlreadyExists when its key is taken."""
        row = (delivery.key, delivery.back_end, delivery.visible_until, delivery.state.value, *changing(delivery))
        if not await self._change("add_pull", *row):
            self.raced = True
            raise AlreadyExists("a delivery has this key")

    async def pull(self, key: str) -> PullDelivery | None:
        """Find a delivery."""
        return from_row(await self._row("pull", key))

    async def replace_pull(self, delivery: PullDelivery, *, expected: PullState) -> bool:
        """Store a changed delivery by compare-and-set on its state; True if it was `expected`."""
        row = (delivery.state.value, *changing(delivery), delivery.key, expected.value)
        return await self._change("replace_pull", *row) == 1

    async def next_pull(self, back_end: str, now: Millis) -> PullDelivery | None:
        """Find what a back end is handed next: the reversal longest due, else the oldest delivery still visible."""
        reversal = await self._row("next_reversal", back_end, now)
        return from_row(reversal or await self._row("next_waiting", back_end, now))

    async def note_poll(self, back_end: str, at: Millis) -> None:
        """Note that a back end asked for deliveries."""
        self._put("note_poll", back_end, at)

    async def polled_at(self, back_end: str) -> Millis | None:
        """Return when a back end was last noted to ask."""
        row = await self._row("polled_at", back_end)
        return Millis(row[0]) if row else None
