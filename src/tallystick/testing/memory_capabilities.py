"""Links to payers' pages and their sessions in memory."""

from tallystick.channels.model import Capability, CapabilityState
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table


class MemoryCapabilities(MemoryBook):
    """Implement `channels.ports.CapabilityBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._capabilities: Table[str, Capability] = Table(journal)

    async def add_capability(self, capability: Capability) -> None:
        """Add an issued one; raises AlreadyExists when the id is taken."""
        if self._capabilities.get(capability.id) is not None:
            raise AlreadyExists("a link has this id")
        self._capabilities.put(capability.id, capability)

    async def capability(self, capability_id: str) -> Capability | None:
        """Find one by its own id."""
        return self._capabilities.get(capability_id)

    async def page_session(self, session: str) -> Capability | None:
        """Find the one that a session was started with."""
        return next((each for each in self._capabilities.rows() if each.session == session), None)

    async def capabilities_of(self, payment_id: str) -> list[Capability]:
        """List those of a payment, oldest first."""
        return [each for each in self._capabilities.rows() if each.payment_id == payment_id]

    async def replace_capability(self, capability: Capability, *, expected: CapabilityState) -> bool:
        """Store a changed one by compare-and-set on its state; True if it was `expected`."""
        found = self._capabilities.get(capability.id)
        if found is None or found.state is not expected:
            return False
        self._capabilities.put(capability.id, capability)
        return True

    async def purge_capabilities(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` whose link and session are both over; returns how many went."""
        rows = self._capabilities.rows()
        over = [each.id for each in rows if each.expires_at <= now and (each.until or 0) <= now][:limit]
        for capability_id in over:
            self._capabilities.drop(capability_id)
        return len(over)
