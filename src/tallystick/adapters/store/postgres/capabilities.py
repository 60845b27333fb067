"""Links to payers' pages and their sessions in PostgreSQL."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.capabilities import changing, from_row
from tallystick.channels.model import Capability, CapabilityState
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis


class PostgresCapabilities(PostgresBook):
    """Implement `channels.ports.CapabilityBook`."""

    async def add_capability(self, capability: Capability) -> None:
        """Add an issued one; raises AlreadyExists when the id is taken."""
        fixed = (capability.id, capability.payment_id, capability.kind.value, capability.sealed_key)
        times = (capability.issued_at, capability.expires_at)
        if not await self._change("add_capability", *fixed, *times, *changing(capability)):
            raise AlreadyExists("a link has this id")

    async def capability(self, capability_id: str) -> Capability | None:
        """Find one by its own id."""
        row = await self._row("capability", capability_id)
        return None if row is None else from_row(row)

    async def page_session(self, session: str) -> Capability | None:
        """Find the one that a session was started with."""
        row = await self._row("page_session", session)
        return None if row is None else from_row(row)

    async def capabilities_of(self, payment_id: str) -> list[Capability]:
        """List those of a payment, oldest first."""
        return [from_row(row) for row in await self._rows("capabilities_of", payment_id)]

    async def replace_capability(self, capability: Capability, *, expected: CapabilityState) -> bool:
        """Store a changed one by compare-and-set on its state; True if it was `expected`."""
        return await self._change("replace_capability", *changing(capability), capability.id, expected.value) == 1

    async def purge_capabilities(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` whose link and session are both over; returns how many went."""
        return await self._change("purge_capabilities", now, limit)
