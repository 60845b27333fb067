"""Look at the store's file as an operator's check does: settings in effect, damage, age of its newest row."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tallystick.adapters.store.sqlite import failed
from tallystick.adapters.store.sqlite_open import connect
from tallystick.assembly.facts import FINAL_STATES
from tallystick.runtime import Millis

SAFE: Final = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: a commit returns after the log is on disk
    "foreign_keys": 1,
    "secure_delete": 1,
    "temp_store": 2,  # in memory
    "trusted_schema": 0,
}
"""What `PRAGMA` answers on a connection that is safe."""

NEWEST: Final = (
    "SELECT max(at) FROM (SELECT at FROM event ORDER BY seq DESC LIMIT 1)",
    "SELECT max(at) FROM (SELECT updated_at AS at FROM payment ORDER BY seq DESC LIMIT 1)",
    "SELECT max(received_at) FROM (SELECT received_at FROM part ORDER BY seq DESC LIMIT 1)",
    "SELECT max(created_at) FROM channel",
    "SELECT max(at) FROM route_version",
)


SEALED_NOW: Final = """
    SELECT p.id, t.sealed, p.state FROM part t JOIN payment p ON p.id = t.payment_id WHERE t.sealed IS NOT NULL
    UNION ALL
    SELECT p.id, i.account, p.state FROM intent i JOIN payment p ON p.id = i.payment_id WHERE i.account IS NOT NULL
"""


# What ended has no content any more; when it ended is when its payment was last changed.
HELD: Final = """
    SELECT t.id AS part, p.id, p.policy, t.channel_id, t.fields, t.received_at,
        CASE WHEN t.sealed IS NULL THEN p.updated_at END, t.epoch
    FROM part t JOIN payment p ON p.id = t.payment_id
    UNION ALL
    SELECT NULL, p.id, p.policy, '', '["pan"]', i.at, NULL, i.epoch
    FROM intent i JOIN payment p ON p.id = i.payment_id WHERE i.account IS NOT NULL
"""


class HeldRow(NamedTuple):
    """A part, or a card number kept for a reversal (`part` None): when it was sealed, and when it was erased."""

    part: str | None
    payment: str
    policy: str
    channel: str
    fields: str
    since: int
    until: int | None
    epoch: str


class SealedNow(NamedTuple):
    """A sealed part or card number that a row holds, its payment, and whether that has ended."""

    id: str
    sealed: bytes
    ended: bool


class Examined:
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

    def newest(self) -> Millis:
        """Return the time of the newest row; 0 for an empty store."""
        return Millis(max(self._db.execute(query).fetchone()[0] or 0 for query in NEWEST))

    def sealed_now(self) -> list[SealedNow]:
        """List what of payers' credentials is kept in rows, sealed."""
        return [SealedNow(id_, sealed, state in FINAL_STATES) for id_, sealed, state in self._db.execute(SEALED_NOW)]

    def held(self) -> list[HeldRow]:
        """List every part there ever was, and the card numbers kept now, without content."""
        return [HeldRow(*row) for row in self._db.execute(HELD)]

    def payers(self) -> int:
        """Count the payers who left a credential."""
        count: int = self._db.execute("SELECT count(DISTINCT user_id) FROM credential").fetchone()[0]
        return count

    def passwords_not_under(self, parameters: str) -> int:
        """Count the payers whose password is stretched with other parameters than these."""
        count: int = self._db.execute("SELECT count(*) FROM payer WHERE kdf <> ?", (parameters,)).fetchone()[0]
        return count


@contextlib.contextmanager
def examining(path: Path) -> Iterator[Examined]:
    """Open the store as every process of the platform does; raises Misconfigured and StoreFailed."""
    db = connect(path)
    try:
        yield Examined(db)
    except sqlite3.Error as error:
        raise failed(error) from error
    finally:
        db.close()
