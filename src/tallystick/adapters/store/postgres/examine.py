"""Look at a PostgreSQL database as an operator's check does: settings in effect, known damage, age of its rows."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

import psycopg

from tallystick.adapters.store.examination import Examined
from tallystick.adapters.store.postgres.faults import connection_fault
from tallystick.errors import StoreFailed

SAFE: Final = {
    "fsync": {"on"},
    "full_page_writes": {"on"},
    "synchronous_commit": {"on", "remote_apply"},
    "wal_level": {"replica", "logical"},
}
"""What `SHOW` answers where a commit outlives a crash, and a standby or backup can follow."""

FAILURES: Final = "SELECT coalesce(sum(checksum_failures), 0)::bigint FROM pg_stat_database"


class PostgresExamined(Examined):
    """A connection to look at; every method may raise psycopg.Error, which `examining` translates."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def unsafe_settings(self) -> list[str]:
        """Name each setting of SAFE that is not in effect on this connection, with its value."""
        found = {name: str(value) for name in SAFE for (value,) in self.rows(f"SHOW {name}")}
        return [f"{name} is {found[name]}" for name, safe in SAFE.items() if found[name] not in safe]

    def damage(self) -> str | None:
        """Say whether the server met a damaged page; it looks at each page it reads, where checksums are on."""
        failures = sum(count for (count,) in self.rows(FAILURES))
        return f"the server met {failures} damaged pages" if failures else None

    def rows(self, query: str) -> Iterable[tuple[Any, ...]]:
        """Answer a query of `examination`."""
        return self._connection.execute(query.encode()).fetchall()


@contextlib.contextmanager
def examining(dsn: str) -> Iterator[Examined]:
    """Open a connection that only reads; raises StoreFailed."""
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = on")
            yield PostgresExamined(connection)
    except psycopg.Error as error:
        reason = error.sqlstate or connection_fault(error) or type(error).__name__
        raise StoreFailed(f"the database cannot be looked at: {reason}") from None
