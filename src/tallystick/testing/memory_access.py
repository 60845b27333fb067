"""API keys and proposals in memory."""

from tallystick.channels.model import ApiKey, Proposal
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table


class MemoryApiKeys(MemoryBook):
    """Implement `channels.ports.ApiKeyBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._api_keys: Table[str, ApiKey] = Table(journal)
        self._key_uses: Table[str, Millis] = Table(journal)

    async def api_key(self, key_id: str) -> ApiKey | None:
        """Find one by its id."""
        return self._api_keys.get(key_id)

    async def api_keys(self) -> list[ApiKey]:
        """List all, oldest first."""
        return self._api_keys.rows()

    async def put_api_key(self, key: ApiKey) -> None:
        """Add a key, or replace the one of this id."""
        self._api_keys.put(key.id, key)

    async def note_key_use(self, key_id: str, at: Millis) -> None:
        """Note when a key was used last; an earlier time, and an unknown key, change nothing."""
        if self._api_keys.get(key_id) is not None and at > (self._key_uses.get(key_id) or 0):
            self._key_uses.put(key_id, at)

    async def key_uses(self) -> dict[str, Millis]:
        """Return when each key was used last."""
        return dict(self._key_uses.items())


class MemoryProposals(MemoryBook):
    """Implement `channels.ports.ProposalBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._proposals: Table[str, Proposal] = Table(journal)

    async def proposal(self, proposal_id: str) -> Proposal | None:
        """Find one."""
        return self._proposals.get(proposal_id)

    async def proposals(self, limit: int) -> list[Proposal]:
        """List the newest, newest first."""
        return self._proposals.rows()[::-1][:limit]

    async def add_proposal(self, proposal: Proposal) -> None:
        """Add one; raises AlreadyExists when the id is taken."""
        if self._proposals.get(proposal.id) is not None:
            raise AlreadyExists("a proposal has this id")
        self._proposals.put(proposal.id, proposal)

    async def replace_proposal(self, proposal: Proposal, *, was: Proposal) -> bool:
        """Store a changed one by compare-and-set on its MAC; False when it is not any more what it `was`."""
        found = self._proposals.get(was.id)
        if found is None or found.mac != was.mac:
            return False
        self._proposals.put(proposal.id, proposal)
        return True
