"""The log of events in PostgreSQL; a work's own events get their numbers after it (`sequence`)."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.events import from_row
from tallystick.assembly.facts import TOLD_STATES, PaymentState
from tallystick.outcomes.model import Event
from tallystick.runtime import Millis


class PostgresEvents(PostgresBook):
    """Implement `outcomes.ports.EventBook`, and write the log for the book of payments."""

    async def events_after(self, seq: int, limit: int) -> list[Event]:
        """List events with a higher `seq`, in order."""
        await self._settle()
        return [from_row(row) for row in await self._rows("events_after", seq, limit)]

    async def events_of(self, owner: str, seq: int, limit: int) -> list[Event]:
        """List the events of an owner's payments with a higher `seq`, in order."""
        await self._settle()
        return [from_row(row) for row in await self._rows("events_of", owner, seq, limit)]

    async def announced(self) -> int:
        """Return the `seq` up to which events were turned into webhooks; 0 before the first."""
        ((seq,),) = await self._rows("announced")
        return int(seq)

    async def note_announced(self, seq: int) -> None:
        """Move that mark."""
        self._put("note_announced", seq)

    async def purge_events(self, before: Millis, limit: int) -> int:
        """Delete at most `limit` announced events older than `before`, never the last one; returns how many."""
        await self._settle()
        return await self._change("purge_events", before, limit)

    def _note_event(self, payment_id: str, was: PaymentState | None, state: PaymentState, at: Millis) -> None:
        """Log that a payment entered a state, if it is one that is told; `was` is None for one that never is."""
        if state in TOLD_STATES and state is not was:
            first = was not in TOLD_STATES
            self.events.append(Event(seq=0, payment_id=payment_id, state=state, at=at, first=first))
