"""What this stage needs of a store and of a network."""

from typing import Protocol

from msgspec import Struct

from tallystick.delivery.books import Books
from tallystick.outcomes.model import Backlog, Ending, Endpoint, Event, Webhook
from tallystick.runtime import Millis


class EventBook(Protocol):
    """The log of events. The store itself writes it: see `PaymentBook.advance` and `PaymentBook.decide_fate`."""

    async def events_after(self, seq: int, limit: int) -> list[Event]:
        """List events with a higher `seq`, in order."""
        ...

    async def events_of(self, owner: str, seq: int, limit: int) -> list[Event]:
        """List the events of an owner's payments with a higher `seq`, in order."""
        ...

    async def announced(self) -> int:
        """Return the `seq` up to which events were turned into webhooks; 0 before the first."""
        ...

    async def note_announced(self, seq: int) -> None:
        """Move that mark; the caller does so in the transaction that adds the webhooks."""
        ...

    async def purge_events(self, before: Millis, limit: int) -> int:
        """Delete at most `limit` announced events older than `before`, never the last one; returns how many."""
        ...


class EndpointBook(Protocol):
    """Webhook endpoints."""

    async def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Find one endpoint."""
        ...

    async def endpoints(self) -> list[Endpoint]:
        """List all endpoints, oldest first."""
        ...

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        """Add or replace an endpoint by id."""
        ...


class WebhookBook(Protocol):
    """Webhooks on their way: an outbox."""

    async def add_webhook(self, webhook: Webhook) -> bool:
        """Add a webhook; False when there is one of this event for this endpoint and subject."""
        ...

    async def webhook(self, webhook_id: str) -> Webhook | None:
        """Find one webhook that did not arrive."""
        ...

    async def due_webhooks(self, now: Millis, each: int) -> list[Webhook]:
        """List waiting webhooks due at `now`, at most `each` of one endpoint, longest due first."""
        ...

    async def change_webhook(self, was: Webhook, changed: Webhook) -> bool:
        """Replace a webhook that still has the state and `due_at` of `was`; False when another caller was first."""
        ...

    async def drop_webhook(self, webhook_id: str) -> None:
        """Delete a webhook that arrived."""
        ...

    async def bury_webhooks(self, endpoint_id: str, last: str) -> int:
        """Make all waiting webhooks of an endpoint DEAD, with `last` as the reason; returns how many."""
        ...

    async def dead_webhooks(self, limit: int) -> list[Webhook]:
        """List dead webhooks, newest first."""
        ...

    async def purge_webhooks(self, before: Millis, limit: int) -> int:
        """Delete at most `limit` dead webhooks whose first try was due before `before`; returns how many."""
        ...


class BacklogBook(Protocol):
    """What the operator's metrics count."""

    async def backlog(self) -> Backlog:
        """Count what waits; the cost grows with what waits only."""
        ...

    async def endings_after(self, seq: int, limit: int) -> list[Ending]:
        """List events with a higher `seq`, in order, with their payments' back ends."""
        ...


class OutcomeBooks(Books, EventBook, EndpointBook, WebhookBook, BacklogBook, Protocol):
    """All books of a store with those of this stage."""


class Posted(Struct, frozen=True):
    """A receiver's answer: the status, and the seconds of its Retry-After if it gave any."""

    status: int
    retry_after: int | None = None


class Poster(Protocol):
    """A way to reach receivers."""

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Posted:
        """Send one message and return the answer, whatever its status.

        Raises Unavailable when no answer came, or when the address is not one that may be reached: the caller tries
        again later.
        """
        ...
