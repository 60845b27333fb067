"""The audit chain in PostgreSQL; a work's own entries get their place after it (`sequence`)."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.audit.ledger import LedgerBook
from tallystick.audit.model import Checkpoint, Head, Link
from tallystick.errors import AlreadyExists


class PostgresAudit(LedgerBook, PostgresBook):
    """Implement `audit.ports.AuditBook`."""

    async def audit_head(self) -> Head:
        """Return how far the chain goes; entries of the work at hand are not in it yet."""
        await self._settle()
        ((seq, hash_),) = await self._rows("audit_head")
        return Head(seq, hash_)

    async def audit_links(self, after: int, limit: int) -> list[Link]:
        """List at most `limit` links with a higher sequence number than `after`, in order."""
        await self._settle()
        rows = await self._rows("audit_links", after, limit)
        return [Link(seq=seq, body=body, hash=hash_) for seq, body, hash_ in rows]

    async def audit_links_about(self, subject: str, limit: int) -> list[Link]:
        """List the newest links that name an id, newest first; reads the whole chain."""
        await self._settle()
        rows = await self._rows("audit_links_about", f'"{subject}"'.encode(), limit)
        return [Link(seq=seq, body=body, hash=hash_) for seq, body, hash_ in rows]

    async def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint; nothing ever changes or removes one. Raises AlreadyExists for one of the same `seq`."""
        row = (checkpoint.seq, checkpoint.hash, checkpoint.at, checkpoint.signature)
        if not await self._change("add_checkpoint", *row):
            self.raced = True
            raise AlreadyExists("a checkpoint of this entry is kept")

    async def checkpoints(self, after: int, limit: int) -> list[Checkpoint]:
        """List checkpoints with a higher `seq` than `after`, in order."""
        rows = await self._rows("checkpoints", after, limit)
        return [Checkpoint(seq=seq, hash=hash_, at=at, signature=signature) for seq, hash_, at, signature in rows]
