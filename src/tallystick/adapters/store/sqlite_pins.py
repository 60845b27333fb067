"""PIN keys, counters and tokens in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.pins import key_from_row, token_from_row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.channels.model import PinKey, PinToken
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

KEY = "name, channel_id, scheme, key_block, created_at, retired_at"
ADD_KEY = f"INSERT INTO pin_key ({KEY}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
FIND_KEY = f"SELECT {KEY} FROM pin_key WHERE name = ?"
KEYS_OF = f"SELECT {KEY} FROM pin_key WHERE channel_id = ? AND retired_at IS NULL ORDER BY seq"
ALL_KEYS = f"SELECT {KEY} FROM pin_key ORDER BY seq"
RETIRE = "UPDATE pin_key SET retired_at = ? WHERE name = ? AND retired_at IS NULL"
ADVANCE = """
    INSERT INTO pin_counter (key_name, device, counter) VALUES (?, ?, ?)
    ON CONFLICT (key_name, device) DO UPDATE SET counter = excluded.counter WHERE excluded.counter > counter
"""
COLUMNS = "token, channel_id, issued_at, expires_at, part_id, payment_id, record"
ADD = f"INSERT INTO pin_token ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
FIND = f"SELECT {COLUMNS} FROM pin_token WHERE token = ?"
USE = """
    UPDATE pin_token SET part_id = ?, payment_id = ?
    WHERE token = ? AND channel_id = ? AND part_id IS NULL AND expires_at > ?
"""
BIND = """
    UPDATE pin_token SET record = ?1
    WHERE token = ?2 AND payment_id IS NOT NULL AND (record IS NULL OR record = ?1)
"""
PURGE = "DELETE FROM pin_token WHERE token IN (SELECT token FROM pin_token WHERE expires_at <= ? LIMIT ?)"


class SqlitePins(SqliteBook):
    """Implement `channels.ports.PinBook`."""

    async def add_pin_key(self, key: PinKey) -> None:
        """Register a key; raises AlreadyExists when the name is taken, also by a retired one."""
        self._cache.changed()
        row = (key.name, key.channel_id, key.scheme.value, key.key_block, key.created_at, key.retired_at)
        if not self._db.execute(ADD_KEY, row).rowcount:
            raise AlreadyExists("a PIN key has this name, or had it")

    async def pin_key(self, name: str) -> PinKey | None:
        """Find a key, retired or not."""
        row = self._db.execute(FIND_KEY, (name,)).fetchone()
        return key_from_row(row) if row else None

    async def pin_keys(self, channel_id: str | None = None) -> list[PinKey]:
        """List a channel's keys that are not retired, or all keys, oldest first."""
        if channel_id is None:
            return [key_from_row(row) for row in self._db.execute(ALL_KEYS)]
        kept = self._cache.pin_keys.get(channel_id)
        if kept is None:
            kept = [key_from_row(row) for row in self._db.execute(KEYS_OF, (channel_id,))]
            if self._cache.keeps:
                self._cache.pin_keys[channel_id] = kept
        return list(kept)

    async def retire_pin_key(self, name: str, at: Millis) -> bool:
        """Take a key out of use; True if it was in use."""
        self._cache.changed()
        return self._db.execute(RETIRE, (at, name)).rowcount == 1

    async def advance_pin_counter(self, key_name: str, device: str, counter: int) -> bool:
        """Note a device's counter; True if it is higher than any before."""
        return self._db.execute(ADVANCE, (key_name, device, counter)).rowcount == 1

    async def add_pin_token(self, token: PinToken) -> None:
        """Add a token; raises AlreadyExists when the number is taken."""
        fixed = (token.token, token.channel_id, token.issued_at, token.expires_at)
        if not self._db.execute(ADD, (*fixed, token.part_id, token.payment_id, token.record)).rowcount:
            raise AlreadyExists("this token was given before")

    async def pin_token(self, token: str) -> PinToken | None:
        """Find a token."""
        row = self._db.execute(FIND, (token,)).fetchone()
        return token_from_row(row) if row else None

    async def use_pin_token(self, token: str, *, channel_id: str, part_id: str, payment_id: str, now: Millis) -> bool:
        """Give a token to a part and its payment; True if it was this channel's, unused and not over."""
        return self._db.execute(USE, (part_id, payment_id, token, channel_id, now)).rowcount == 1

    async def bind_pin_token(self, token: str, record: bytes) -> bool:
        """Keep the record of a used token; False when it has another one, or was never used."""
        return self._db.execute(BIND, (record, token)).rowcount == 1

    async def purge_pin_tokens(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` tokens whose time is over; returns how many went."""
        return self._db.execute(PURGE, (now, limit)).rowcount
