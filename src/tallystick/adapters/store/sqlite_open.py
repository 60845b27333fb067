"""Open the database file: settings of the connection, and migrations.

The schema is the sum of `sql/NNNN_*.sql` in order; `PRAGMA user_version` counts how many were applied.
"""

import os
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

from tallystick.errors import Misconfigured

BUSY_TIMEOUT_S: Final = 5.0  # s to wait for another process (the CLI) that writes to the same file
WAL_PAGES: Final = 8_000  # pages of 4 KiB in the log before SQLite moves them into the database; fewer cost more writes
WAL_MAX: Final = 64 * 1024 * 1024  # bytes the log may keep on disk after such a move
CACHE_KIB: Final = 32 * 1024  # KiB of pages kept in memory

SETTINGS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # a commit returns after the log is on disk
    "fullfsync = ON",  # macOS: fsync alone stops at the drive's cache
    "checkpoint_fullfsync = ON",
    "foreign_keys = ON",
    "secure_delete = ON",  # erased content is overwritten with zeros
    "temp_store = MEMORY",  # sealed content never reaches a temporary file
    "trusted_schema = OFF",
    f"wal_autocheckpoint = {WAL_PAGES}",
    f"journal_size_limit = {WAL_MAX}",
    f"cache_size = -{CACHE_KIB}",
)


def connect(path: Path) -> sqlite3.Connection:
    """Open or create the database and bring its schema up to date.

    A new file is readable by its owner only; SQLite gives the log beside it the same mode. Raises Misconfigured when
    the file cannot be opened, is no database, or was written by a newer release.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, cached_statements=256)
    except (OSError, sqlite3.Error) as error:
        raise Misconfigured(f"the store's file cannot be opened: {type(error).__name__}") from error
    try:
        for setting in SETTINGS:
            db.execute(f"PRAGMA {setting}")
        migrate(db, migrations())
    except sqlite3.Error as error:
        db.close()
        raise Misconfigured(f"the store's file cannot be used: {error.sqlite_errorname}") from error
    except Misconfigured:
        db.close()
        raise
    return db


def migrations() -> list[str]:
    """Read the packaged migrations in the order of their numbers."""
    folder = resources.files("tallystick.adapters.store") / "sql"
    scripts = sorted(folder.iterdir(), key=lambda script: script.name)
    return [script.read_text(encoding="utf-8") for script in scripts if script.name.endswith(".sql")]


def migrate(db: sqlite3.Connection, scripts: list[str]) -> None:
    """Apply the scripts this database has not seen, all or none, while no other process can do the same.

    Raises Misconfigured when the database has seen more scripts than there are: an older release must not write to it.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        seen = schema_version(db, len(scripts))
        for script in scripts[seen:]:
            for statement in statements(script):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(scripts)}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def schema_version(db: sqlite3.Connection, known: int) -> int:
    """Return how many scripts the database has seen; raises Misconfigured when that is more than are known."""
    seen: int = db.execute("PRAGMA user_version").fetchone()[0]
    if seen > known:
        raise Misconfigured(f"the store has schema {seen}, this release knows {known}: run a newer release")
    return seen


def statements(script: str) -> Iterator[str]:
    """Split a script at its semicolons: `executescript` would commit first, and so give up the lock."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
