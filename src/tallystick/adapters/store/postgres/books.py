"""All books on one connection."""

from tallystick.adapters.store.postgres.audit import PostgresAudit
from tallystick.adapters.store.postgres.backlog import PostgresBacklog
from tallystick.adapters.store.postgres.claims import PostgresClaims
from tallystick.adapters.store.postgres.intents import PostgresIntents
from tallystick.adapters.store.postgres.parts import PostgresParts
from tallystick.adapters.store.postgres.payments import PostgresPayments
from tallystick.adapters.store.postgres.pull import PostgresPulls
from tallystick.adapters.store.postgres.replay import PostgresReplay
from tallystick.adapters.store.postgres.webhooks import PostgresWebhooks
from tallystick.audit.ledger import audited


@audited
class PostgresBooks(
    PostgresPayments,
    PostgresParts,
    PostgresBacklog,
    PostgresClaims,
    PostgresIntents,
    PostgresPulls,
    PostgresReplay,
    PostgresWebhooks,
    PostgresAudit,
):
    """Implement `delivery.books.Books` and `outcomes.ports.OutcomeBooks`."""
