"""Channels in PostgreSQL, kept by each node until one of them changes."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.channels import from_row, to_row
from tallystick.channels.model import Channel
from tallystick.errors import AlreadyExists, NotFound


class PostgresChannels(PostgresBook):
    """Implement `channels.ports.ChannelBook`."""

    async def channel(self, channel_id: str) -> Channel | None:
        """Find one channel."""
        if self._use_cache() and (kept := self._cache.channels.get(channel_id)) is not None:
            self._hit = True
            return kept
        row = await self._row("channel", channel_id)
        if row is None:
            return None
        channel = from_row(row)
        if self._may_keep():
            self._cache.channels[channel_id] = channel
        return channel

    async def channels(self) -> list[Channel]:
        """List all channels, by name."""
        return [from_row(row) for row in await self._rows("channels")]

    async def add_channel(self, channel: Channel) -> None:
        """Register a channel; raises AlreadyExists when the id or the name is taken."""
        self._leave_cache()
        if not await self._change("add_channel", *to_row(channel)):
            raise AlreadyExists("a channel has this id or name")

    async def replace_channel(self, channel: Channel) -> None:
        """Store a changed channel; raises NotFound when it was never registered, AlreadyExists on another's name."""
        self._leave_cache()
        if await self._row("channel_name_taken", channel.name, channel.id) is not None:
            raise AlreadyExists("another channel has this name")
        if not await self._change("replace_channel", *to_row(channel)):
            raise NotFound("no channel has this id")
