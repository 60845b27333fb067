"""Channels in PostgreSQL, kept by each node until one of them changes."""

from tallystick.adapters.store.postgres.book import FIELDS, PostgresBook, Row, to_json
from tallystick.channels.model import Channel, ChannelKind, ChannelState
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


def to_row(channel: Channel) -> Row:
    """Order a channel's values as the table does."""
    return (
        channel.id,
        channel.name,
        channel.kind.value,
        channel.state.value,
        to_json(channel.fields),
        channel.proves_payer,
        str(channel.algorithm),
        channel.sealed_key,
        channel.created_at,
        channel.earlier_key,
        channel.earlier_until,
        channel.key_since,
    )


def from_row(row: Row) -> Channel:
    """Read a channel back."""
    id_, name, kind, state, fields, proves_payer, algorithm, sealed_key, created_at, *earlier = row
    earlier_key, earlier_until, key_since = earlier
    return Channel(
        id=id_,
        name=name,
        kind=ChannelKind(kind),
        state=ChannelState(state),
        fields=FIELDS.decode(fields),
        proves_payer=proves_payer,
        algorithm=algorithm,
        sealed_key=sealed_key,
        created_at=created_at,
        earlier_key=earlier_key,
        earlier_until=earlier_until,
        key_since=key_since,
    )
