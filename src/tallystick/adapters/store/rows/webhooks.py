"""Rows of webhooks and their endpoints."""

from tallystick.adapters.store.rows.texts import Row
from tallystick.outcomes.model import Endpoint, EndpointState, Webhook, WebhookState


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
