"""The log of events, webhook endpoints and webhooks in memory."""

from msgspec.structs import replace

from tallystick.assembly.facts import TOLD_STATES, PaymentState
from tallystick.errors import StoreFailed
from tallystick.outcomes.model import Endpoint, Event, Webhook, WebhookState
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table


class MemoryEvents(MemoryBook):
    """Implement `outcomes.ports.EventBook`, and write the log for the book of payments."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._events: Table[int, Event] = Table(journal)
        self._announced: Table[None, int] = Table(journal)
        self._last_seq: Table[None, int] = Table(journal)

    async def events_after(self, seq: int, limit: int) -> list[Event]:
        """List events with a higher `seq`, in order."""
        return [event for event in self._events.rows() if event.seq > seq][:limit]

    async def announced(self) -> int:
        """Return the `seq` up to which events were turned into webhooks; 0 before the first."""
        return self._announced.get(None) or 0

    async def note_announced(self, seq: int) -> None:
        """Move that mark."""
        self._announced.put(None, seq)

    async def purge_events(self, before: Millis, limit: int) -> int:
        """Delete at most `limit` announced events older than `before`, never the last one; returns how many."""
        mark = await self.announced()
        oldest = [event for event in self._events.rows() if event.seq < mark][:limit]
        gone = [event for event in oldest if event.at < before]
        for event in gone:
            self._events.drop(event.seq)
        return len(gone)

    def _note_event(self, payment_id: str, was: PaymentState | None, state: PaymentState, at: Millis) -> None:
        """Log that a payment entered a state, if it is one that is told; `was` is None for one that never is."""
        if state in TOLD_STATES and state is not was:
            seq = (self._last_seq.get(None) or 0) + 1
            self._last_seq.put(None, seq)
            first = was not in TOLD_STATES
            self._events.put(seq, Event(seq=seq, payment_id=payment_id, state=state, at=at, first=first))


class MemoryWebhooks(MemoryBook):
    """Implement `outcomes.ports.EndpointBook` and `WebhookBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._endpoints: Table[str, Endpoint] = Table(journal)
        self._webhooks: Table[str, Webhook] = Table(journal)

    async def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Find one endpoint."""
        return self._endpoints.get(endpoint_id)

    async def endpoints(self) -> list[Endpoint]:
        """List all endpoints, oldest first."""
        return self._endpoints.rows()

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        """Add or replace an endpoint by id."""
        self._endpoints.put(endpoint.id, endpoint)

    async def add_webhook(self, webhook: Webhook) -> bool:
        """Add a webhook; False when there is one of this event for this endpoint and subject."""
        if self._endpoints.get(webhook.endpoint_id) is None:
            raise StoreFailed("a webhook needs an endpoint")
        told = (webhook.seq, webhook.endpoint_id, webhook.subject)
        if any(told == (each.seq, each.endpoint_id, each.subject) for each in self._webhooks.rows()):
            return False
        self._webhooks.put(webhook.id, webhook)
        return True

    async def webhook(self, webhook_id: str) -> Webhook | None:
        """Find one webhook that did not arrive."""
        return self._webhooks.get(webhook_id)

    async def due_webhooks(self, now: Millis, each: int) -> list[Webhook]:
        """List waiting webhooks due at `now`, at most `each` of one endpoint, longest due first."""
        due = [one for one in self._in_state(WebhookState.WAITING) if one.due_at <= now]
        found: list[Webhook] = []
        for webhook in sorted(due, key=lambda one: one.due_at):
            if sum(other.endpoint_id == webhook.endpoint_id for other in found) < each:
                found.append(webhook)
        return found

    async def change_webhook(self, was: Webhook, changed: Webhook) -> bool:
        """Replace a webhook that still has the state and `due_at` of `was`; False when another caller was first."""
        now = self._webhooks.get(was.id)
        if now is None or (now.state, now.due_at) != (was.state, was.due_at):
            return False
        self._webhooks.put(was.id, changed)
        return True

    async def drop_webhook(self, webhook_id: str) -> None:
        """Delete a webhook that arrived."""
        self._webhooks.drop(webhook_id)

    async def bury_webhooks(self, endpoint_id: str, last: str) -> int:
        """Make all waiting webhooks of an endpoint DEAD, with `last` as the reason; returns how many."""
        waiting = [one for one in self._in_state(WebhookState.WAITING) if one.endpoint_id == endpoint_id]
        for webhook in waiting:
            self._webhooks.put(webhook.id, replace(webhook, state=WebhookState.DEAD, last=last))
        return len(waiting)

    async def dead_webhooks(self, limit: int) -> list[Webhook]:
        """List dead webhooks, newest first."""
        return self._in_state(WebhookState.DEAD)[::-1][:limit]

    async def purge_webhooks(self, before: Millis, limit: int) -> int:
        """Delete at most `limit` dead webhooks whose first try was due before `before`; returns how many."""
        gone = [one for one in self._in_state(WebhookState.DEAD) if one.first_at < before][:limit]
        for webhook in gone:
            self._webhooks.drop(webhook.id)
        return len(gone)

    def _in_state(self, state: WebhookState) -> list[Webhook]:
        return [webhook for webhook in self._webhooks.rows() if webhook.state is state]
