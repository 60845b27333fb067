"""API keys and proposals in PostgreSQL."""

from typing import Final

import msgspec

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.access import from_row
from tallystick.adapters.store.rows.texts import ENCODER, to_json
from tallystick.channels.model import ApiKey, Proposal
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

PROPOSAL: Final = msgspec.json.Decoder(Proposal)


class PostgresApiKeys(PostgresBook):
    """Implement `channels.ports.ApiKeyBook`."""

    async def api_key(self, key_id: str) -> ApiKey | None:
        """Find one by its id."""
        row = await self._row("api_key", key_id)
        return None if row is None else from_row(row)

    async def api_keys(self) -> list[ApiKey]:
        """List all, oldest first."""
        return [from_row(row) for row in await self._rows("api_keys")]

    async def put_api_key(self, key: ApiKey) -> None:
        """Add a key, or replace the one of this id."""
        who = (key.id, key.holder, key.role.value, to_json(key.scopes), key.live, key.digest)
        await self._change("put_api_key", *who, key.created_at, key.expires_at, key.revoked_at, key.mac)

    async def note_key_use(self, key_id: str, at: Millis) -> None:
        """Note when a key was used last; an earlier time, and an unknown key, change nothing."""
        await self._change("note_key_use", at, key_id)

    async def key_uses(self) -> dict[str, Millis]:
        """Return when each key was used last."""
        return {key_id: Millis(at) for key_id, at in await self._rows("key_uses")}


class PostgresProposals(PostgresBook):
    """Implement `channels.ports.ProposalBook`."""

    async def proposal(self, proposal_id: str) -> Proposal | None:
        """Find one."""
        row = await self._row("proposal", proposal_id)
        return None if row is None else PROPOSAL.decode(row[0])

    async def proposals(self, limit: int) -> list[Proposal]:
        """List the newest, newest first."""
        return [PROPOSAL.decode(row[0]) for row in await self._rows("proposals", limit)]

    async def add_proposal(self, proposal: Proposal) -> None:
        """Add one; raises AlreadyExists when the id is taken."""
        if not await self._change("add_proposal", proposal.id, ENCODER.encode(proposal), proposal.mac):
            raise AlreadyExists("a proposal has this id")

    async def replace_proposal(self, proposal: Proposal, *, was: Proposal) -> bool:
        """Store a changed one by compare-and-set on its MAC; False when it is not any more what it `was`."""
        row = (ENCODER.encode(proposal), proposal.mac, was.id, was.mac)
        return await self._change("replace_proposal", *row) == 1
