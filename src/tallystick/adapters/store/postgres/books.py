"""All books on one connection."""

from tallystick.adapters.store.postgres.access import PostgresApiKeys, PostgresProposals
from tallystick.adapters.store.postgres.anchors import PostgresAnchors
from tallystick.adapters.store.postgres.audit import PostgresAudit
from tallystick.adapters.store.postgres.backlog import PostgresBacklog
from tallystick.adapters.store.postgres.capabilities import PostgresCapabilities
from tallystick.adapters.store.postgres.channels import PostgresChannels
from tallystick.adapters.store.postgres.claims import PostgresClaims
from tallystick.adapters.store.postgres.enrolments import PostgresEnrolments
from tallystick.adapters.store.postgres.intents import PostgresIntents
from tallystick.adapters.store.postgres.kept import PostgresKept
from tallystick.adapters.store.postgres.limits import PostgresLimits
from tallystick.adapters.store.postgres.merchants import PostgresMerchants
from tallystick.adapters.store.postgres.nodes import PostgresNodes
from tallystick.adapters.store.postgres.notices import PostgresNotices
from tallystick.adapters.store.postgres.parts import PostgresParts
from tallystick.adapters.store.postgres.payments import PostgresPayments
from tallystick.adapters.store.postgres.pins import PostgresPins
from tallystick.adapters.store.postgres.pull import PostgresPulls
from tallystick.adapters.store.postgres.replay import PostgresReplay
from tallystick.adapters.store.postgres.routes import PostgresConnectors, PostgresRoutes
from tallystick.adapters.store.postgres.signups import PostgresSignUps
from tallystick.adapters.store.postgres.users import PostgresUsers
from tallystick.adapters.store.postgres.webhooks import PostgresWebhooks
from tallystick.audit.ledger import audited
from tallystick.runtime import Millis


@audited
class PostgresBooks(
    PostgresPayments,
    PostgresParts,
    PostgresBacklog,
    PostgresClaims,
    PostgresIntents,
    PostgresNodes,
    PostgresPulls,
    PostgresReplay,
    PostgresWebhooks,
    PostgresApiKeys,
    PostgresProposals,
    PostgresAnchors,
    PostgresCapabilities,
    PostgresChannels,
    PostgresEnrolments,
    PostgresKept,
    PostgresLimits,
    PostgresMerchants,
    PostgresNotices,
    PostgresPins,
    PostgresConnectors,
    PostgresRoutes,
    PostgresSignUps,
    PostgresUsers,
    PostgresAudit,
):
    """Implement `delivery.books.Books` and `outcomes.ports.OutcomeBooks`."""

    async def database_time(self) -> Millis:
        """Return the database's time: that of the moment, not of the transaction's begin."""
        ((at,),) = await self._rows("database_time")
        return Millis(at)
