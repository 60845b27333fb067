"""Channels in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.channels import from_row, to_row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.channels.model import Channel
from tallystick.errors import AlreadyExists, NotFound

COLUMNS = """id, name, kind, state, fields, proves_payer, algorithm, sealed_key, created_at, earlier_key,
    earlier_until, key_since"""
FIND = f"SELECT {COLUMNS} FROM channel WHERE id = ?"
LIST = f"SELECT {COLUMNS} FROM channel ORDER BY name"
ADD = f"INSERT INTO channel ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
NAME_TAKEN = "SELECT 1 FROM channel WHERE name = ? AND id <> ?"
REPLACE = """
    UPDATE channel SET name = ?2, kind = ?3, state = ?4, fields = ?5, proves_payer = ?6, algorithm = ?7,
      sealed_key = ?8, created_at = ?9, earlier_key = ?10, earlier_until = ?11,
      key_since = ?12
    WHERE id = ?1
"""


class SqliteChannels(SqliteBook):
    """Implement `channels.ports.ChannelBook`."""

    async def channel(self, channel_id: str) -> Channel | None:
        """Find one channel."""
        kept = self._cache.channels.get(channel_id)
        if kept is not None:
            return kept
        row = self._db.execute(FIND, (channel_id,)).fetchone()
        if row is None:
            return None
        channel = from_row(row)
        if self._cache.keeps:
            self._cache.channels[channel_id] = channel
        return channel

    async def channels(self) -> list[Channel]:
        """List all channels, by name."""
        return [from_row(row) for row in self._db.execute(LIST)]

    async def add_channel(self, channel: Channel) -> None:
        """Register a channel; raises AlreadyExists when the id or the name is taken."""
        self._cache.changed()
        if not self._db.execute(ADD, to_row(channel)).rowcount:
            raise AlreadyExists("a channel has this id or name")

    async def replace_channel(self, channel: Channel) -> None:
        """Store a changed channel; raises NotFound when it was never registered, AlreadyExists on another's name."""
        self._cache.changed()
        if self._db.execute(NAME_TAKEN, (channel.name, channel.id)).fetchone():
            raise AlreadyExists("another channel has this name")
        if not self._db.execute(REPLACE, to_row(channel)).rowcount:
            raise NotFound("no channel has this id")
