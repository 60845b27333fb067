"""Webhook endpoints and webhooks in PostgreSQL."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.webhooks import endpoint_from_row, webhook_from_row, webhook_to_row
from tallystick.outcomes.model import Endpoint, Webhook
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
