"""What waits and what ended, counted in memory."""

from collections import Counter

from tallystick.outcomes.model import WAITING_STATES, Backlog, Ending, Outbox, WebhookState
from tallystick.testing.memory_books import MemoryNotices
from tallystick.testing.memory_events import MemoryWebhooks
from tallystick.testing.memory_payments import MemoryPayments
from tallystick.vault.model import Notice


class MemoryBacklog(MemoryPayments, MemoryNotices, MemoryWebhooks):
    """Implement `outcomes.ports.BacklogBook`."""

    async def backlog(self) -> Backlog:
        """Count what waits; the cost grows with what waits only."""
        notices, webhooks = self._notices.rows(), self._in_state(WebhookState.WAITING)
        states = Counter(payment.state for payment in self._payments.rows())
        return Backlog(
            payments={state: count for state, count in states.items() if state in WAITING_STATES},
            notices=_outbox(notices),
            urgent_notices=_outbox([each for each in notices if each.urgent]),
            webhooks=Outbox(len(webhooks), min((each.first_at for each in webhooks), default=None)),
            dead_webhooks=len(self._in_state(WebhookState.DEAD)),
        )

    async def endings_after(self, seq: int, limit: int) -> list[Ending]:
        """List events with a higher `seq`, in order, with their payments' back ends."""
        found = [(event, self._payments.get(event.payment_id)) for event in await self.events_after(seq, limit)]
        return [Ending(event.seq, event.state, payment.back_end if payment else None) for event, payment in found]


def _outbox(notices: list[Notice]) -> Outbox:
    return Outbox(len(notices), min((each.created_at for each in notices), default=None))
