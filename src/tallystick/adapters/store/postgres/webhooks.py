"""Webhook endpoints and webhooks in PostgreSQL."""

from tallystick.adapters.store.postgres.book import PostgresBook, Row
from tallystick.outcomes.model import Endpoint, EndpointState, Webhook, WebhookState
from tallystick.runtime import Millis


class PostgresWebhooks(PostgresBook):
    """Implement `outcomes.ports.EndpointBook` and `WebhookBook`."""

    async def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Find one endpoint."""
        row = await self._row("endpoint", endpoint_id)
        return None if row is None else endpoint_from_row(row)

    async def endpoints(self) -> list[Endpoint]:
        """List all endpoints, oldest first."""
        return [endpoint_from_row(row) for row in await self._rows("endpoints")]

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        """Add or replace an endpoint by id."""
        named = (endpoint.id, endpoint.channel_id, endpoint.url, endpoint.sealed, endpoint.created_at)
        self._put("put_endpoint", *named, endpoint.state.value, endpoint.reason)

    async def add_webhook(self, webhook: Webhook) -> bool:
        """Add a webhook; False when there is one of this event for this endpoint and subject."""
        return await self._change("add_webhook", *webhook_to_row(webhook)) == 1

    async def webhook(self, webhook_id: str) -> Webhook | None:
        """Find one webhook that did not arrive."""
        row = await self._row("webhook", webhook_id)
        return None if row is None else webhook_from_row(row)

    async def due_webhooks(self, now: Millis, each: int) -> list[Webhook]:
        """List waiting webhooks due at `now`, at most `each` of one endpoint, longest due first."""
        found: list[Webhook] = []
        for (endpoint_id,) in await self._rows("endpoints_with_due", now):
            found += [webhook_from_row(row) for row in await self._rows("due_webhooks", endpoint_id, now, each)]
        return sorted(found, key=lambda webhook: webhook.due_at)

    async def change_webhook(self, was: Webhook, changed: Webhook) -> bool:
        """Replace a webhook that still has the state and `due_at` of `was`; False when another caller was first."""
        values = (changed.state.value, changed.tries, changed.last, changed.first_at, changed.due_at)
        return await self._change("change_webhook", *values, was.id, was.state.value, was.due_at) == 1

    async def drop_webhook(self, webhook_id: str) -> None:
        """Delete a webhook that arrived."""
        self._put("drop_webhook", webhook_id)

    async def bury_webhooks(self, endpoint_id: str, last: str) -> int:
        """Make all waiting webhooks of an endpoint DEAD, with `last` as the reason; returns how many."""
        return await self._change("bury_webhooks", last, endpoint_id)

    async def dead_webhooks(self, limit: int) -> list[Webhook]:
        """List dead webhooks, newest first."""
        return [webhook_from_row(row) for row in await self._rows("dead_webhooks", limit)]

    async def purge_webhooks(self, before: Millis, limit: int) -> int:
        """Delete at most `limit` dead webhooks whose first try was due before `before`; returns how many."""
        return await self._change("purge_webhooks", before, limit)


def endpoint_from_row(row: Row) -> Endpoint:
    """Read an endpoint back."""
    id_, channel_id, url, sealed, created_at, state, reason = row
    return Endpoint(
        id=id_,
        channel_id=channel_id,
        url=url,
        sealed=sealed,
        created_at=created_at,
        state=EndpointState(state),
        reason=reason,
    )


def webhook_to_row(webhook: Webhook) -> Row:
    """Order a webhook's values as the table does."""
    named = (webhook.id, webhook.seq, webhook.endpoint_id, webhook.subject, webhook.type, webhook.body)
    return (*named, webhook.first_at, webhook.due_at, webhook.state.value, webhook.tries, webhook.last)


def webhook_from_row(row: Row) -> Webhook:
    """Read a webhook back."""
    id_, seq, endpoint_id, subject, type_, body, first_at, due_at, state, tries, last = row
    return Webhook(
        id=id_,
        seq=seq,
        endpoint_id=endpoint_id,
        subject=subject,
        type=type_,
        body=body,
        first_at=first_at,
        due_at=due_at,
        state=WebhookState(state),
        tries=tries,
        last=last,
    )
