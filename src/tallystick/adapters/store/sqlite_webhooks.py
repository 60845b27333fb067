"""Webhook endpoints and webhooks in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.webhooks import endpoint_from_row, webhook_from_row, webhook_to_row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.outcomes.model import Endpoint, Webhook
from tallystick.runtime import Millis

ENDPOINT = "id, channel_id, url, sealed, created_at, state, reason"
FIND_ENDPOINT = f"SELECT {ENDPOINT} FROM webhook_endpoint WHERE id = ?"
LIST_ENDPOINTS = f"SELECT {ENDPOINT} FROM webhook_endpoint ORDER BY seq"
PUT_ENDPOINT = f"""
    INSERT INTO webhook_endpoint ({ENDPOINT}) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
      url = excluded.url, sealed = excluded.sealed, state = excluded.state, reason = excluded.reason
"""
WEBHOOK = "id, seq, endpoint_id, subject, type, body, first_at, due_at, state, tries, last"
ADD = f"INSERT INTO webhook ({WEBHOOK}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
FIND = f"SELECT {WEBHOOK} FROM webhook WHERE id = ?"
WITH_DUE = """
    SELECT id FROM webhook_endpoint AS e
    WHERE EXISTS (SELECT 1 FROM webhook WHERE endpoint_id = e.id AND state = 'waiting' AND due_at <= ?)
"""
DUE = f"""
    SELECT {WEBHOOK} FROM webhook WHERE endpoint_id = ? AND state = 'waiting' AND due_at <= ?
    ORDER BY due_at, n LIMIT ?
"""
CHANGE = """
    UPDATE webhook SET state = ?, tries = ?, last = ?, first_at = ?, due_at = ?
    WHERE id = ? AND state = ? AND due_at = ?
"""
DROP = "DELETE FROM webhook WHERE id = ?"
BURY = "UPDATE webhook SET state = 'dead', last = ? WHERE endpoint_id = ? AND state = 'waiting'"
DEAD = f"SELECT {WEBHOOK} FROM webhook WHERE state = 'dead' ORDER BY n DESC LIMIT ?"
PURGE = """
    DELETE FROM webhook WHERE n IN (SELECT n FROM webhook WHERE state = 'dead' AND first_at < ? ORDER BY n LIMIT ?)
"""


class SqliteWebhooks(SqliteBook):
    """Implement `outcomes.ports.EndpointBook` and `WebhookBook`."""

    async def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Find one endpoint."""
        row = self._db.execute(FIND_ENDPOINT, (endpoint_id,)).fetchone()
        return None if row is None else endpoint_from_row(row)

    async def endpoints(self) -> list[Endpoint]:
        """List all endpoints, oldest first."""
        return [endpoint_from_row(row) for row in self._db.execute(LIST_ENDPOINTS)]

    async def put_endpoint(self, endpoint: Endpoint) -> None:
        """Add or replace an endpoint by id."""
        named = (endpoint.id, endpoint.channel_id, endpoint.url, endpoint.sealed, endpoint.created_at)
        self._db.execute(PUT_ENDPOINT, (*named, endpoint.state.value, endpoint.reason))

    async def add_webhook(self, webhook: Webhook) -> bool:
        """Add a webhook; False when there is one of this event for this endpoint and subject."""
        return self._db.execute(ADD, webhook_to_row(webhook)).rowcount == 1

    async def webhook(self, webhook_id: str) -> Webhook | None:
        """Find one webhook that did not arrive."""
        row = self._db.execute(FIND, (webhook_id,)).fetchone()
        return None if row is None else webhook_from_row(row)

    async def due_webhooks(self, now: Millis, each: int) -> list[Webhook]:
        """List waiting webhooks due at `now`, at most `each` of one endpoint, longest due first."""
        found: list[Webhook] = []
        for (endpoint_id,) in self._db.execute(WITH_DUE, (now,)).fetchall():
            found += [webhook_from_row(row) for row in self._db.execute(DUE, (endpoint_id, now, each))]
        return sorted(found, key=lambda webhook: webhook.due_at)

    async def change_webhook(self, was: Webhook, changed: Webhook) -> bool:
        """Replace a webhook that still has the state and `due_at` of `was`; False when another caller was first."""
        values = (changed.state.value, changed.tries, changed.last, changed.first_at, changed.due_at)
        return self._db.execute(CHANGE, (*values, was.id, was.state.value, was.due_at)).rowcount == 1

    async def drop_webhook(self, webhook_id: str) -> None:
        """Delete a webhook that arrived."""
        self._db.execute(DROP, (webhook_id,))

    async def bury_webhooks(self, endpoint_id: str, last: str) -> int:
        """Make all waiting webhooks of an endpoint DEAD, with `last` as the reason; returns how many."""
        return self._db.execute(BURY, (last, endpoint_id)).rowcount

    async def dead_webhooks(self, limit: int) -> list[Webhook]:
        """List dead webhooks, newest first."""
        return [webhook_from_row(row) for row in self._db.execute(DEAD, (limit,))]

    async def purge_webhooks(self, before: Millis, limit: int) -> int:
        """Delete at most `limit` dead webhooks whose first try was due before `before`; returns how many."""
        return self._db.execute(PURGE, (before, limit)).rowcount
