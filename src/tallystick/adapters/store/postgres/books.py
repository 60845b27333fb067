"""All books on one connection."""

from tallystick.adapters.store.postgres.audit import PostgresAudit
from tallystick.adapters.store.postgres.parts import PostgresParts
from tallystick.adapters.store.postgres.payments import PostgresPayments
from tallystick.audit.ledger import audited


@audited
class PostgresBooks(
    PostgresPayments,
    PostgresParts,
    PostgresAudit,
):
    """Implement `delivery.books.Books` and `outcomes.ports.OutcomeBooks`."""
