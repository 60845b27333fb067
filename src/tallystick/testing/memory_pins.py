"""PIN keys, counters and tokens in memory."""

from msgspec.structs import replace

from tallystick.channels.model import PinKey, PinToken
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table


class MemoryPinBook(MemoryBook):
    """Implement `channels.ports.PinBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._pin_keys: Table[str, PinKey] = Table(journal)
        self._pin_counters: Table[tuple[str, str], int] = Table(journal)
        self._pin_tokens: Table[str, PinToken] = Table(journal)

    async def add_pin_key(self, key: PinKey) -> None:
        """Register a key; raises AlreadyExists when the name is taken, also by a retired one."""
        if self._pin_keys.get(key.name) is not None:
            raise AlreadyExists("a PIN key has this name, or had it")
        self._pin_keys.put(key.name, key)

    async def pin_key(self, name: str) -> PinKey | None:
        """Find a key, retired or not."""
        return self._pin_keys.get(name)

    async def pin_keys(self, channel_id: str | None = None) -> list[PinKey]:
        """List a channel's keys that are not retired, or all keys, oldest first."""
        rows = self._pin_keys.rows()
        return [each for each in rows if channel_id is None or (each.channel_id == channel_id and not each.retired_at)]

    async def retire_pin_key(self, name: str, at: Millis) -> bool:
        """Take a key out of use; True if it was in use."""
        found = self._pin_keys.get(name)
        if found is None or found.retired_at is not None:
            return False
        self._pin_keys.put(name, replace(found, retired_at=at))
        return True

    async def advance_pin_counter(self, key_name: str, device: str, counter: int) -> bool:
        """Note a device's counter; True if it is higher than any before."""
        if counter <= (self._pin_counters.get((key_name, device)) or 0):
            return False
        self._pin_counters.put((key_name, device), counter)
        return True

    async def add_pin_token(self, token: PinToken) -> None:
        """Add a token; raises AlreadyExists when the number is taken."""
        if self._pin_tokens.get(token.token) is not None:
            raise AlreadyExists("this token was given before")
        self._pin_tokens.put(token.token, token)

    async def pin_token(self, token: str) -> PinToken | None:
        """Find a token."""
        return self._pin_tokens.get(token)

    async def use_pin_token(self, token: str, *, channel_id: str, part_id: str, payment_id: str, now: Millis) -> bool:
        """Give a token to a part and its payment; True if it was this channel's, unused and not over."""
        found = self._pin_tokens.get(token)
        if found is None or found.channel_id != channel_id or found.part_id is not None or found.expires_at <= now:
            return False
        self._pin_tokens.put(token, replace(found, part_id=part_id, payment_id=payment_id))
        return True

    async def bind_pin_token(self, token: str, record: bytes) -> bool:
        """Keep the record of a used token; False when it has another one, or was never used."""
        found = self._pin_tokens.get(token)
        if found is None or found.payment_id is None or found.record not in {None, record}:
            return False
        self._pin_tokens.put(token, replace(found, record=record))
        return True

    async def purge_pin_tokens(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` tokens whose time is over; returns how many went."""
        over = [each.token for each in self._pin_tokens.rows() if each.expires_at <= now][:limit]
        for token in over:
            self._pin_tokens.drop(token)
        return len(over)
