"""What every SQLite book shares: the connection and the cache of rarely changed rows."""

import sqlite3

from tallystick.audit.model import Head
from tallystick.channels.model import Channel, PinKey
from tallystick.routing.model import RoutingTable

DATA_VERSION = "PRAGMA data_version"
SETTINGS_VERSION = "SELECT version FROM settings_version WHERE one = 1"


class Cache:
    """Rows that every part needs and only an operator changes: channels, PIN keys, the routing table, connectors.

    Kept rows are always committed ones of the database's present state: the store calls `refresh` once a batch,
    a book calls `changed` before it writes such a row, and from then on nothing is kept until the next batch, so that
    a write that is undone leaves nothing behind. What other processes write is told by `settings_version`, which
    triggers on the tables of such rows move: so what another process does for a payment leaves everything kept.
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
        self._data_version = -1
        self._settings_version = -1

    def refresh(self, db: sqlite3.Connection) -> None:
        """Start a batch, in the transaction begun on `db`: forget what another connection may have changed.

        `PRAGMA data_version` changes with each commit of another connection, and the chain's end with it; kept rows
        are old only when `settings_version`, which is read only then, has changed as well.
        """
        (data_version,) = db.execute(DATA_VERSION).fetchone()
        if data_version != self._data_version:
            (settings_version,) = db.execute(SETTINGS_VERSION).fetchone()
            if settings_version != self._settings_version:
                self._clear()
            self.head = None
            self._data_version, self._settings_version = data_version, settings_version
        self.keeps = True

    def changed(self) -> None:
        """Forget everything, and keep nothing for the rest of this batch."""
        self._clear()
        self.keeps = False
        self._data_version = -1  # does not move with a commit of our own, but `settings_version` does

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
