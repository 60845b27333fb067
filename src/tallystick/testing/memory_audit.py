"""The audit chain in memory."""

from tallystick.audit.chain import link
from tallystick.audit.ledger import Draft, Ledger, LedgerBook, entries
from tallystick.audit.model import START, Checkpoint, Head, Link
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table


class MemoryAudit(LedgerBook, MemoryBook):
    """Implement `audit.ports.AuditBook`; the store calls `chain_up` at the end of each work."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.ledger = Ledger(journal.__len__)
        self._links: list[Link] = []
        self._checkpoints: Table[int, Checkpoint] = Table(journal)

    async def audit_head(self) -> Head:
        """Return how far the chain goes; entries of the work at hand are not in it yet."""
        return self._head()

    async def audit_links(self, after: int, limit: int) -> list[Link]:
        """List at most `limit` links with a higher sequence number than `after`, in order."""
        return self._links[after : after + limit]

    async def audit_links_about(self, subject: str, limit: int) -> list[Link]:
        """List the newest links that name an id, newest first; reads the whole chain."""
        quoted = f'"{subject}"'.encode()
        return [each for each in reversed(self._links) if quoted in each.body][:limit]

    async def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint; nothing ever changes or removes one. Raises AlreadyExists for one of the same `seq`."""
        if self._checkpoints.get(checkpoint.seq) is not None:
            raise AlreadyExists("a checkpoint of this entry is kept")
        self._checkpoints.put(checkpoint.seq, checkpoint)

    async def checkpoints(self, after: int, limit: int) -> list[Checkpoint]:
        """List checkpoints with a higher `seq` than `after`, in order."""
        return [each for each in self._checkpoints.rows() if each.seq > after][:limit]

    def chain_up(self, drafts: list[Draft], at: Millis) -> None:
        """Write the entries of a work, as its last act."""
        for entry in entries(drafts, len(self._links), at):
            self._links.append(link(self._head(), entry))

    def _head(self) -> Head:
        return Head(self._links[-1].seq, self._links[-1].hash) if self._links else START
