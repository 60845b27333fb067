"""PIN keys, counters and tokens in PostgreSQL: counters and tokens are used up by the statement that checks them."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.pins import key_from_row, token_from_row
from tallystick.channels.model import PinKey, PinToken
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis


class PostgresPins(PostgresBook):
    """Implement `channels.ports.PinBook`."""

    async def add_pin_key(self, key: PinKey) -> None:
        """Register a key; raises AlreadyExists when the name is taken, also by a retired one."""
        row = (key.name, key.channel_id, key.scheme.value, key.key_block, key.created_at, key.retired_at)
        self._leave_cache()
        if not await self._change("add_pin_key", *row):
            raise AlreadyExists("a PIN key has this name, or had it")

    async def pin_key(self, name: str) -> PinKey | None:
        """Find a key, retired or not."""
        row = await self._row("pin_key", name)
        return None if row is None else key_from_row(row)

    async def pin_keys(self, channel_id: str | None = None) -> list[PinKey]:
        """List a channel's keys that are not retired, or all keys, oldest first."""
        if channel_id is None:
            return [key_from_row(row) for row in await self._rows("pin_keys")]
        if self._use_cache() and (kept := self._cache.pin_keys.get(channel_id)) is not None:
            self._hit = True
            return [*kept]
        found = [key_from_row(row) for row in await self._rows("pin_keys_of", channel_id)]
        if self._may_keep():
            self._cache.pin_keys[channel_id] = found
        return [*found]

    async def retire_pin_key(self, name: str, at: Millis) -> bool:
        """Take a key out of use; True if it was in use."""
        self._leave_cache()
        return await self._change("retire_pin_key", at, name) == 1

    async def advance_pin_counter(self, key_name: str, device: str, counter: int) -> bool:
        """Note a device's counter; True if it is higher than any before."""
        return await self._change("advance_pin_counter", key_name, device, counter) == 1

    async def add_pin_token(self, token: PinToken) -> None:
        """Add a token; raises AlreadyExists when the number is taken."""
        fixed = (token.token, token.channel_id, token.issued_at, token.expires_at)
        if not await self._change("add_pin_token", *fixed, token.part_id, token.payment_id, token.record):
            raise AlreadyExists("this token was given before")

    async def pin_token(self, token: str) -> PinToken | None:
        """Find a token."""
        row = await self._row("pin_token", token)
        return None if row is None else token_from_row(row)

    async def use_pin_token(self, token: str, *, channel_id: str, part_id: str, payment_id: str, now: Millis) -> bool:
        """Give a token to a part and its payment; True if it was this channel's, unused and not over."""
        return await self._change("use_pin_token", part_id, payment_id, token, channel_id, now) == 1

    async def bind_pin_token(self, token: str, record: bytes) -> bool:
        """Keep the record of a used token; False when it has another one, or was never used."""
        return await self._change("bind_pin_token", record, token) == 1

    async def purge_pin_tokens(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` tokens whose time is over; returns how many went."""
        return await self._change("purge_pin_tokens", now, limit)
