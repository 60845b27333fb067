"""Rows that every part needs and only an operator changes, kept by each node and never used when they are old.

Every change of such a row moves `settings_version` in its own transaction. A transaction that used kept rows asks for
that number, with a statement that shares a round trip; where it differs from the one they were kept under, the store
forgets them all and runs the work again. So a kept row is used only if it was the committed one while the work ran.
"""

from tallystick.channels.model import Channel
from tallystick.routing.model import RoutingTable


class Cache:
    """What one node keeps."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.connectors: dict[str, bytes] = {}
        self.table: RoutingTable | None = None
        self.version = 0

    def forget(self, version: int) -> None:
        """Forget everything; what is kept from now on is that of `version`."""
        self.channels.clear()
        self.connectors.clear()
        self.table = None
        self.version = version
