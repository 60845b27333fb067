"""Look at the store's file as an operator's check does: settings in effect, damage, age of its newest row."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from tallystick.adapters.store.examination import Examined
from tallystick.adapters.store.sqlite import failed
from tallystick.adapters.store.sqlite_open import connect

SAFE: Final = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: a commit returns after the log is on disk
    "foreign_keys": 1,
    "secure_delete": 1,
    "temp_store": 2,  # in memory
    "trusted_schema": 0,
}
"""What `PRAGMA` answers on a connection that is safe."""


class SqliteExamined(Examined):
    """A connection to look at; every method may raise sqlite3.Error, which `examining` translates."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def unsafe_settings(self) -> list[str]:
        """Name each setting of SAFE that is not in effect on this connection, with its value."""
        found = {name: self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in SAFE}
        return [f"{name} is {found[name]}" for name, safe in SAFE.items() if found[name] != safe]

    def damage(self) -> str | None:
        """Read every page; say what is damaged first, without quoting a row, or None."""
        if self._db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            return "a page of the database is damaged"
        broken = self._db.execute("PRAGMA foreign_key_check").fetchone()
        return f"a row of {broken[0]} refers to one that is not there" if broken is not None else None

    def rows(self, query: str) -> Iterable[tuple[Any, ...]]:
        """Answer a query of `examination`."""
        return self._db.execute(query)


@contextlib.contextmanager
def examining(path: Path) -> Iterator[Examined]:
    """Open the store as every process of the platform does; raises Misconfigured and StoreFailed."""
    db = connect(path)
    try:
        yield SqliteExamined(db)
    except sqlite3.Error as error:
        raise failed(error) from error
    finally:
        db.close()
