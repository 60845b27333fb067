"""Open the database file: settings of the connection, and migrations.

The schema is the sum of `sql/NNNN_*.sql` in order; `PRAGMA user_version` counts how many were applied. Two releases
that follow each other may use one database side by side (docs/operations/upgrade.md).
"""

import os
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

from tallystick.errors import Misconfigured

PRE: Final = "pre"
POST: Final = "post"
PHASES_FROM: Final = 21  # number of the script from which on the database notes what it has seen

BUSY_TIMEOUT_S: Final = 5.0  # s to wait for another process (the CLI) that writes to the same file
WAL_PAGES: Final = 8_000  # pages of 4 KiB in the log before SQLite moves them into the database; fewer cost more writes
WAL_MAX: Final = 64 * 1024 * 1024  # bytes the log may keep on disk after such a move
CACHE_KIB: Final = 4 * 1024  # KiB of pages kept in memory: a commit that split a page walks all of them

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
    the file cannot be opened, is no database, or was brought too far by a later release.
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


class Script(NamedTuple):
    """One migration. `post` takes away what the release before no longer uses; `pre` only adds."""

    number: int
    phase: str
    text: str


def migrations() -> list[Script]:
    """Read the packaged migrations in the order of their numbers: `NNNN_name.sql` is `pre`, `NNNN_name.post.sql`."""
    folder = resources.files("tallystick.adapters.store") / "sql"
    found = sorted((script.name, script) for script in folder.iterdir() if script.name.endswith(".sql"))
    return [
        Script(number, POST if name.endswith(f".{POST}.sql") else PRE, script.read_text(encoding="utf-8"))
        for number, (name, script) in enumerate(found, 1)
    ]


def migrate(db: sqlite3.Connection, scripts: list[Script]) -> None:
    """Apply the scripts this database has not seen, all or none, while no other process can do the same.

    Processes of the release before may be using it: every script leaves them working. A database that a later release
    has brought further is left as it is; raises Misconfigured when this one may not use it.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        seen = schema_version(db, len(scripts))
        for script in scripts[seen:]:
            for statement in statements(script.text):
                db.execute(statement)
            if script.number > PHASES_FROM:
                db.execute("INSERT INTO schema_migration (number, phase) VALUES (?, ?)", (script.number, script.phase))
        db.execute(f"PRAGMA user_version = {max(seen, len(scripts))}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def schema_version(db: sqlite3.Connection, known: int) -> int:
    """Return how many scripts the database has seen.

    Scripts beyond those `known` are the next release's as long as all of them only add. Raises Misconfigured when one
    took away: then what this release uses may be gone.
    """
    seen: int = db.execute("PRAGMA user_version").fetchone()[0]
    if seen > known and _taken_away(db, known):
        raise Misconfigured(f"the store has schema {seen}, this release knows {known}: run a newer release")
    return seen


def _taken_away(db: sqlite3.Connection, known: int) -> bool:
    """Tell whether a script beyond those known took something away; one that nothing is known of counts as such."""
    rows = db.execute("SELECT phase FROM schema_migration WHERE number > ?", (known,)).fetchall()
    return not rows or any(phase != PRE for (phase,) in rows)


def statements(script: str) -> Iterator[str]:
    """Split a script at its semicolons: `executescript` would commit first, and so give up the lock."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
