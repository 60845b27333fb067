"""A PostgreSQL database for a test: one server for all, emptied before each."""

from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from tallystick.adapters.store.postgres.migrate import migrate
from tallystick.adapters.store.postgres.opening import Settings

SEEDS: Final = """
    INSERT INTO settings_version VALUES (1, 1);
    INSERT INTO announced VALUES (1, 0);
    INSERT INTO sequence_head VALUES (1, 0, decode(repeat('00', 32), 'hex'), 0);
"""


class PostgresDatabase:
    """The one database; `settings` are those of a node, each test may open as many stores on it as it likes."""

    def __init__(self, dsn: str) -> None:
        self.settings = Settings(dsn=dsn)
        migrate(dsn)
        self._connection: psycopg.Connection[Any] = psycopg.connect(dsn, autocommit=True)
        tables = self.rows(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migration'"
        )
        deletes = "; ".join(f"DELETE FROM {table}" for (table,) in tables)  # noqa: S608 - our own tables
        self._empty = f"BEGIN; SET LOCAL session_replication_role = replica; {deletes}; {SEEDS} COMMIT"

    def empty(self) -> None:
        """Bring it to the state of a new one."""
        self._connection.execute(self._empty.encode())

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Look inside."""
        return self._connection.execute(statement.encode(), values).fetchall()

    def change(self, statement: str, *values: Any) -> None:
        """Change something behind the stores' back."""
        self._connection.execute(statement.encode(), values)

    def close(self) -> None:
        """Let the database go."""
        self._connection.close()


def programs_with_tls() -> Path:
    """Return where the distribution's newest server is, which knows TLS; skips, saying so, where there is none."""
    found = [each.parent for each in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not found:
        pytest.skip("no PostgreSQL of the distribution (apt-get install postgresql): no server that knows TLS")
    return max(found, key=lambda programs: float(programs.parent.name))
