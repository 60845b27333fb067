"""Open connections to the database: where it is, how it proves itself, and what is set for each session."""

from typing import Any, Final

import psycopg
from msgspec import Struct

from tallystick.adapters.store.postgres.link import Link
from tallystick.errors import StoreFailed

CONNECT_TIMEOUT_S: Final = 5  # s to open a connection
ANSWER_TIMEOUT_S: Final = 15.0  # s to wait for answers; above STATEMENT_TIMEOUT_MS, so that the server gives up first
STATEMENT_TIMEOUT_MS: Final = 10_000  # ms one statement may take
LOCK_TIMEOUT_MS: Final = 5_000  # ms one may wait for a row that another transaction holds
IDLE_TIMEOUT_MS: Final = 20_000  # ms a transaction may stand open without a statement
POOL_MAX: Final = 8  # connections of one node

_SESSION: Final = "; ".join(
    (
        # Without BEGIN a pipeline reads one snapshot and writes nothing; a transaction that writes says so.
        "SET default_transaction_isolation = 'repeatable read'",
        "SET default_transaction_read_only = on",
        "SET synchronous_commit = on",
        f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}",
        f"SET lock_timeout = {LOCK_TIMEOUT_MS}",
        f"SET idle_in_transaction_session_timeout = {IDLE_TIMEOUT_MS}",
        "SET plan_cache_mode = force_generic_plan",
    )
)


class Settings(Struct, frozen=True, kw_only=True):
    """Where the database is and how much of it one node takes."""

    dsn: str
    pool_max: int = POOL_MAX
    answer_timeout_s: float = ANSWER_TIMEOUT_S


async def open_link(settings: Settings) -> Link:
    """Open a connection; raises StoreFailed when that cannot be done, without the text, which may name a password."""
    try:
        connection: psycopg.AsyncConnection[Any] = await psycopg.AsyncConnection.connect(
            settings.dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="tallystick"
        )
    except (psycopg.Error, OSError) as error:
        raise StoreFailed(f"the database cannot be reached: {type(error).__name__}") from None
    try:
        await connection.execute(_SESSION)
    except psycopg.Error as error:
        await connection.close()
        raise StoreFailed(f"the database refuses a session: {error.sqlstate}") from None
    return Link(connection, settings.answer_timeout_s)
