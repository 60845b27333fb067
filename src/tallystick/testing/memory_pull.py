"""Deliveries that back ends fetch, in memory."""

from tallystick.delivery.model import PullDelivery, PullState
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table


class MemoryPulls(MemoryBook):
    """Implement `delivery.ports.PullBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._pulls: Table[str, PullDelivery] = Table(journal)
        self._polls: Table[str, Millis] = Table(journal)

    async def add_pull(self, delivery: PullDelivery) -> None:
        """Add a delivery; raises AlreadyExists when its key is taken."""
        if self._pulls.get(delivery.key) is not None:
            raise AlreadyExists("a delivery has this key")
        self._pulls.put(delivery.key, delivery)

    async def pull(self, key: str) -> PullDelivery | None:
        """Find a delivery."""
        return self._pulls.get(key)

    async def replace_pull(self, delivery: PullDelivery, *, expected: PullState) -> bool:
        """Store a changed delivery by compare-and-set on its state; True if it was `expected`."""
        found = self._pulls.get(delivery.key)
        if found is None or found.state is not expected:
            return False
        self._pulls.put(delivery.key, delivery)
        return True

    async def next_pull(self, back_end: str, now: Millis) -> PullDelivery | None:
        """Find what a back end is handed next: the reversal longest due, else the oldest delivery still visible."""
        own = [delivery for delivery in self._pulls.rows() if delivery.back_end == back_end]
        asked = [each for each in own if each.state is PullState.CANCEL_ASKED and (each.due_at or 0) <= now]
        waiting = [each for each in own if each.state is PullState.WAITING and each.visible_until > now]
        return next(iter((*sorted(asked, key=lambda each: each.due_at or 0), *waiting)), None)

    async def note_poll(self, back_end: str, at: Millis) -> None:
        """Note that a back end asked for deliveries."""
        self._polls.put(back_end, at)

    async def polled_at(self, back_end: str) -> Millis | None:
        """Return when a back end was last noted to ask."""
        return self._polls.get(back_end)
