"""Bring a database's schema up to date, in phases that fit a rolling upgrade.

The schema is the sum of `sql/migrations/NNNN_name.PHASE.sql` in order. `pre` scripts are applied while the release
before still runs, and leave it working; `post` scripts take away what only that one used, once it runs nowhere.
"""

import re
from collections.abc import Collection, Sequence
from importlib import resources
from typing import Any, Final, NamedTuple

import psycopg

from tallystick.adapters.store.postgres.faults import connection_fault
from tallystick.adapters.store.postgres.statements import PACKAGE
from tallystick.errors import Misconfigured

PHASES: Final = ("pre", "post")

_NAME: Final = re.compile(r"(?P<number>\d{4})_[a-z_]+\.(?P<phase>pre|post)\.sql")
_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS schema_migration (number bigint PRIMARY KEY, phase text NOT NULL)
"""


class Migration(NamedTuple):
    """One script."""

    number: int
    phase: str
    script: str


def migrations() -> list[Migration]:
    """Read the packaged migrations in the order of their numbers; raises Misconfigured for a name that is none."""
    folder = resources.files(PACKAGE) / "sql" / "migrations"
    found = []
    for file in folder.iterdir():
        named = _NAME.fullmatch(file.name)
        if named is None:
            raise Misconfigured(f"{file.name} is no name of a migration")
        found.append(Migration(int(named["number"]), named["phase"], file.read_text(encoding="utf-8")))
    return sorted(found)


def migrate(dsn: str, phases: Sequence[str] = PHASES) -> list[int]:
    """Apply what this database has not seen, all or none; returns the numbers. Several nodes may do so at a time.

    With `pre` alone it stops before the first `post`, which waits for the end of the rolling upgrade. Raises
    Misconfigured when the database cannot be used.
    """
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = on")
            connection.execute(_TABLE)
            with connection.transaction():
                connection.execute("LOCK TABLE schema_migration IN EXCLUSIVE MODE")
                return _apply(connection, phases)
    except psycopg.Error as error:
        raise Misconfigured(f"the database cannot be brought up to date: {_reason(error)}") from None


def unseen(seen: Collection[int], phase: str) -> list[int]:
    """Return the numbers of the migrations of a phase that are not among those seen."""
    return [each.number for each in migrations() if each.phase == phase and each.number not in seen]


def applied(dsn: str) -> list[int]:
    """Return the numbers of the migrations that this database has seen; raises Misconfigured when it cannot be used."""
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            return sorted(_seen(connection))
    except psycopg.errors.UndefinedTable:
        return []
    except psycopg.Error as error:
        raise Misconfigured(f"the database cannot be used: {_reason(error)}") from None


def _apply(connection: psycopg.Connection[Any], phases: Sequence[str]) -> list[int]:
    seen, applied = _seen(connection), []
    for number, phase, script in migrations():
        if number in seen:
            continue
        if phase not in phases:
            break
        connection.execute(script.encode())
        connection.execute("INSERT INTO schema_migration (number, phase) VALUES (%s, %s)", (number, phase))
        applied.append(number)
    return applied


def _seen(connection: psycopg.Connection[Any]) -> set[int]:
    """Return what was applied; raises Misconfigured when a later release than the next one has taken something away."""
    rows = dict(connection.execute("SELECT number, phase FROM schema_migration").fetchall())
    unknown = rows.keys() - {each.number for each in migrations()}
    if any(rows[number] == "post" for number in unknown):
        raise Misconfigured("the database no longer has what this release uses: run a newer release")
    return set(rows)


def _reason(error: psycopg.Error) -> str:
    return error.sqlstate or connection_fault(error) or "it cannot be reached"
