"""The audit chain in SQLite."""

from tallystick.adapters.store.rows.texts import Row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.audit.chain import link
from tallystick.audit.ledger import Draft, LedgerBook, entries
from tallystick.audit.model import START, Checkpoint, Head, Link
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

HEAD = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"
ADD = "INSERT INTO audit (seq, body, hash) VALUES (?, ?, ?)"
AFTER = "SELECT seq, CAST(body AS BLOB), hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"
ABOUT = "SELECT seq, CAST(body AS BLOB), hash FROM audit WHERE instr(body, ?) ORDER BY seq DESC LIMIT ?"
ADD_CHECKPOINT = "INSERT INTO audit_checkpoint (seq, hash, at, signature) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
CHECKPOINTS = "SELECT seq, hash, at, signature FROM audit_checkpoint WHERE seq > ? ORDER BY seq LIMIT ?"


class SqliteAudit(LedgerBook, SqliteBook):
    """Implement `audit.ports.AuditBook`; the store calls `chain_up` at the end of each batch."""

    async def audit_head(self) -> Head:
        """Return how far the chain goes; entries of the work at hand are not in it yet."""
        return self._head()

    async def audit_links(self, after: int, limit: int) -> list[Link]:
        """List at most `limit` links with a higher sequence number than `after`, in order."""
        return [from_row(row) for row in self._db.execute(AFTER, (after, limit))]

    async def audit_links_about(self, subject: str, limit: int) -> list[Link]:
        """List the newest links that name an id, newest first; reads the whole chain."""
        return [from_row(row) for row in self._db.execute(ABOUT, (f'"{subject}"', limit))]

    async def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint; nothing ever changes or removes one. Raises AlreadyExists for one of the same `seq`."""
        row = (checkpoint.seq, checkpoint.hash, checkpoint.at, checkpoint.signature)
        if not self._db.execute(ADD_CHECKPOINT, row).rowcount:
            raise AlreadyExists("a checkpoint of this entry is kept")

    async def checkpoints(self, after: int, limit: int) -> list[Checkpoint]:
        """List checkpoints with a higher `seq` than `after`, in order."""
        return [
            Checkpoint(seq=seq, hash=hash_, at=at, signature=signature)
            for seq, hash_, at, signature in self._db.execute(CHECKPOINTS, (after, limit))
        ]

    def chain_up(self, drafts: list[Draft], at: Millis) -> None:
        """Write the entries of a batch, as its last act before it commits."""
        head, rows = self._head(), []
        for entry in entries(drafts, head.seq, at):
            made = link(head, entry)
            head = Head(made.seq, made.hash)
            rows.append((made.seq, made.body.decode(), made.hash))
        self._db.executemany(ADD, rows)
        self._cache.head = head

    def _head(self) -> Head:
        if self._cache.head is None:
            row = self._db.execute(HEAD).fetchone()
            self._cache.head = Head(*row) if row is not None else START
        return self._cache.head


def from_row(row: Row) -> Link:
    """Read a link back."""
    seq, body, hash_ = row
    return Link(seq=seq, body=body, hash=hash_)
