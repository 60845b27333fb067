"""What every SQLite book shares: the connection and the cache of rarely changed rows."""

import sqlite3

from tallystick.audit.model import Head
from tallystick.channels.model import Channel, PinKey
from tallystick.routing.model import RoutingTable


class Cache:
    """Rows that every part needs and only an operator changes: channels, PIN keys, the routing table, connectors.

    Kept rows are always committed ones of the database's present state: the committer calls `refresh` once a batch,
    a book calls `changed` before it writes such a row, and from then on nothing is kept until the next batch, so that
    a write that is undone leaves nothing behind.
    """

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.connectors: dict[str, bytes] = {}
        self.pin_keys: dict[str, list[PinKey]] = {}
        """Those in use, by channel."""
        self.table: RoutingTable | None = None
        self.head: Head | None = None
        """The end of the audit chain, which every commit moves."""
        self.keeps = False
        self._version = -1

    def refresh(self, version: int) -> None:
        """Start a batch; `version` is `PRAGMA data_version`, which changes when another connection commits."""
        if version != self._version:
            self._clear()
            self.head = None
            self._version = version
        self.keeps = True

    def changed(self) -> None:
        """Forget everything, and keep nothing for the rest of this batch."""
        self._clear()
        self.keeps = False

    def _clear(self) -> None:
        self.channels.clear()
        self.connectors.clear()
        self.pin_keys.clear()
        self.table = None


class SqliteBook:
    """Base of the books: they run on one connection, inside the transaction that the store has open."""

    def __init__(self, db: sqlite3.Connection, cache: Cache) -> None:
        self._db = db
        self._cache = cache
