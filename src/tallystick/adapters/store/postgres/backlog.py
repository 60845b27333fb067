"""What waits and what ended, counted in PostgreSQL for the operator's metrics."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.assembly.facts import PaymentState
from tallystick.outcomes.model import Backlog, Ending, Outbox


class PostgresBacklog(PostgresBook):
    """Implement `outcomes.ports.BacklogBook`."""

    async def backlog(self) -> Backlog:
        """Count what waits; the cost grows with what waits only."""
        payments = {PaymentState(state): count for state, count in await self._rows("moving_counts")}
        (notices,) = await self._rows("notices_waiting")
        (urgent,) = await self._rows("urgent_notices_waiting")
        (webhooks,) = await self._rows("webhooks_waiting")
        ((dead,),) = await self._rows("webhooks_dead")
        return Backlog(
            payments=payments,
            notices=Outbox(*notices),
            urgent_notices=Outbox(*urgent),
            webhooks=Outbox(*webhooks),
            dead_webhooks=dead,
        )

    async def endings_after(self, seq: int, limit: int) -> list[Ending]:
        """List events with a higher `seq`, in order, with their payments' back ends."""
        await self._settle()
        rows = await self._rows("endings_after", seq, limit)
        return [Ending(number, PaymentState(state), back_end) for number, state, back_end in rows]
