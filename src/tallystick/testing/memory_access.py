"""API keys in memory."""

from tallystick.channels.model import ApiKey
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
