"""API keys and proposals in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

import msgspec

from tallystick.adapters.store.rows.access import from_row
from tallystick.adapters.store.rows.texts import ENCODER, to_json
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.channels.model import ApiKey, Proposal
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

COLUMNS = "id, holder, role, scopes, live, digest, created_at, expires_at, revoked_at, mac"
FIND = f"SELECT {COLUMNS} FROM api_key WHERE id = ?"
LIST = f"SELECT {COLUMNS} FROM api_key ORDER BY seq"
PUT = f"""
    INSERT INTO api_key ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
      holder = excluded.holder, role = excluded.role, scopes = excluded.scopes, live = excluded.live,
      digest = excluded.digest, created_at = excluded.created_at, expires_at = excluded.expires_at,
      revoked_at = excluded.revoked_at, mac = excluded.mac
"""
NOTE_USE = "UPDATE api_key SET used_at = ?1 WHERE id = ?2 AND (used_at IS NULL OR used_at < ?1)"
USES = "SELECT id, used_at FROM api_key WHERE used_at IS NOT NULL"

ADD_PROPOSAL = "INSERT INTO proposal (id, record, mac) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
FIND_PROPOSAL = "SELECT record FROM proposal WHERE id = ?"
LIST_PROPOSALS = "SELECT record FROM proposal ORDER BY seq DESC LIMIT ?"
REPLACE_PROPOSAL = "UPDATE proposal SET record = ?, mac = ? WHERE id = ? AND mac = ?"
PROPOSAL = msgspec.json.Decoder(Proposal)


class SqliteApiKeys(SqliteBook):
    """Implement `channels.ports.ApiKeyBook`."""

    async def api_key(self, key_id: str) -> ApiKey | None:
        """Find one by its id."""
        row = self._db.execute(FIND, (key_id,)).fetchone()
        return from_row(row) if row else None

    async def api_keys(self) -> list[ApiKey]:
        """List all, oldest first."""
        return [from_row(row) for row in self._db.execute(LIST)]

    async def put_api_key(self, key: ApiKey) -> None:
        """Add a key, or replace the one of this id."""
        who = (key.id, key.holder, key.role.value, to_json(key.scopes), int(key.live), key.digest)
        self._db.execute(PUT, (*who, key.created_at, key.expires_at, key.revoked_at, key.mac))

    async def note_key_use(self, key_id: str, at: Millis) -> None:
        """Note when a key was used last; an earlier time, and an unknown key, change nothing."""
        self._db.execute(NOTE_USE, (at, key_id))

    async def key_uses(self) -> dict[str, Millis]:
        """Return when each key was used last."""
        return {key_id: Millis(at) for key_id, at in self._db.execute(USES)}


class SqliteProposals(SqliteBook):
    """Implement `channels.ports.ProposalBook`."""

    async def proposal(self, proposal_id: str) -> Proposal | None:
        """Find one."""
        row = self._db.execute(FIND_PROPOSAL, (proposal_id,)).fetchone()
        return PROPOSAL.decode(row[0]) if row else None

    async def proposals(self, limit: int) -> list[Proposal]:
        """List the newest, newest first."""
        return [PROPOSAL.decode(row[0]) for row in self._db.execute(LIST_PROPOSALS, (limit,))]

    async def add_proposal(self, proposal: Proposal) -> None:
        """Add one; raises AlreadyExists when the id is taken."""
        if not self._db.execute(ADD_PROPOSAL, (proposal.id, ENCODER.encode(proposal), proposal.mac)).rowcount:
            raise AlreadyExists("a proposal has this id")

    async def replace_proposal(self, proposal: Proposal, *, was: Proposal) -> bool:
        """Store a changed one by compare-and-set on its MAC; False when it is not any more what it `was`."""
        row = (ENCODER.encode(proposal), proposal.mac, was.id, was.mac)
        return self._db.execute(REPLACE_PROPOSAL, row).rowcount == 1
