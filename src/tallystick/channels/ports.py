"""What this stage needs of a store."""

from typing import Protocol

from tallystick.channels.model import Channel


class ChannelBook(Protocol):
    """The registered channels."""

    async def channel(self, channel_id: str) -> Channel | None:
        """Find one channel."""
        ...

    async def channels(self) -> list[Channel]:
        """List all channels, by name."""
        ...

    async def add_channel(self, channel: Channel) -> None:
        """Register a channel; raises AlreadyExists when the id or the name is taken."""
        ...

    async def replace_channel(self, channel: Channel) -> None:
        """Store a changed channel; raises NotFound when it was never registered."""
        ...
