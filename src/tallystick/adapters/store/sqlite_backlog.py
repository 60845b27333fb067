"""What waits and what ended, counted in SQLite for the operator's metrics."""

from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.assembly.facts import PaymentState
from tallystick.outcomes.model import Backlog, Ending, Outbox

PAYMENTS = """
    SELECT state, COUNT(*) FROM payment
    WHERE state = 'joined' OR state = 'delivering' OR state = 'unknown' OR state = 'inquiry' OR state = 'manual'
    GROUP BY state
"""
NOTICES = "SELECT COUNT(*), MIN(created_at) FROM notice"
# With the media named, the index by medium and urgency finds them among a million others.
URGENT_NOTICES = "SELECT COUNT(*), MIN(created_at) FROM notice WHERE medium IN ('sms', 'email') AND urgent = 1"
WEBHOOKS = "SELECT COUNT(*), MIN(first_at) FROM webhook WHERE state = 'waiting'"
DEAD = "SELECT COUNT(*) FROM webhook WHERE state = 'dead'"
ENDINGS = """
    SELECT event.seq, event.state, payment.back_end FROM event JOIN payment ON payment.id = payment_id
    WHERE event.seq > ? ORDER BY event.seq LIMIT ?
"""


class SqliteBacklog(SqliteBook):
    """Implement `outcomes.ports.BacklogBook`."""

    async def backlog(self) -> Backlog:
        """Count what waits; the cost grows with what waits only."""
        return Backlog(
            payments={PaymentState(state): count for state, count in self._db.execute(PAYMENTS)},
            notices=Outbox(*self._db.execute(NOTICES).fetchone()),
            urgent_notices=Outbox(*self._db.execute(URGENT_NOTICES).fetchone()),
            webhooks=Outbox(*self._db.execute(WEBHOOKS).fetchone()),
            dead_webhooks=self._db.execute(DEAD).fetchone()[0],
        )

    async def endings_after(self, seq: int, limit: int) -> list[Ending]:
        """List events with a higher `seq`, in order, with their payments' back ends."""
        rows = self._db.execute(ENDINGS, (seq, limit))
        return [Ending(number, PaymentState(state), back_end) for number, state, back_end in rows]
