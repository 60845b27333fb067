"""Open connections to the database: where it is, how it proves itself, and what is set for each session."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from msgspec import Struct
from psycopg import conninfo

from tallystick.adapters.store.postgres.faults import connection_fault
from tallystick.adapters.store.postgres.link import Link
from tallystick.adapters.store.postgres.migrate import unseen
from tallystick.errors import Misconfigured, StoreFailed

CONNECT_TIMEOUT_S: Final = 5  # s to open a connection
ANSWER_TIMEOUT_S: Final = 15.0  # s to wait for answers; above STATEMENT_TIMEOUT_MS, so that the server gives up first
STATEMENT_TIMEOUT_MS: Final = 10_000  # ms one statement may take
LOCK_TIMEOUT_MS: Final = 5_000  # ms one may wait for a row that another transaction holds
IDLE_TIMEOUT_MS: Final = 20_000  # ms a transaction may stand open without a statement
KEEPALIVE_S: Final = 10  # s without a sign of the server until it is asked whether it is there
POOL_MAX: Final = 8  # connections of one node

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

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
    """Where the database is and how much of it one node takes; `dsn` may hold a password and is in no text."""

    dsn: str
    pool_max: int = POOL_MAX
    answer_timeout_s: float = ANSWER_TIMEOUT_S

    def __repr__(self) -> str:
        return f"Settings(pool_max={self.pool_max})"


def secured(dsn: str, ca: Path | None) -> str:
    """Return the connection string that checks who the server is; raises Misconfigured when it cannot.

    1. It names a host, and is the only one that says where that is: libpq would else look into the environment.
    2. A server beyond this machine proves itself over TLS by a certificate of `ca` for the host's name. Kerberos, which
       libpq would take instead where it can, is left out.
    """
    try:
        given = conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        raise Misconfigured("the connection string of [store] cannot be read") from None
    hosts = [host for name in ("host", "hostaddr") for host in str(given.get(name) or "").split(",") if host]
    # 1.
    if not given.get("host"):
        raise Misconfigured("the connection string of [store] names no host")
    wanted: dict[str, Any] = {
        "target_session_attrs": "read-write",
        "keepalives_idle": KEEPALIVE_S,
        "tcp_user_timeout": int(ANSWER_TIMEOUT_S * 1_000),
        "hostaddr": "",
        "port": "5432",
        **given,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": "tallystick",
    }
    # 2.
    if not _is_here(hosts):
        if ca is None:
            raise Misconfigured("the database is on another machine: [store] ca must name who certified it")
        if given.get("sslmode") not in {None, "verify-full"}:
            raise Misconfigured("the connection string of [store] may not weaken sslmode=verify-full")
        wanted |= {
            "sslmode": "verify-full",
            "sslrootcert": str(ca),
            "ssl_min_protocol_version": max(str(given.get("ssl_min_protocol_version") or ""), "TLSv1.2"),
            "gssencmode": "disable",
        }
    return conninfo.make_conninfo("", **wanted)


def _is_here(hosts: Sequence[str]) -> bool:
    return all(host.startswith(("/", "@")) or host in LOOPBACK for host in hosts)


async def open_link(settings: Settings) -> Link:
    """Open a connection; raises StoreFailed when that cannot be done, without the text, which may name a password."""
    try:
        connection: psycopg.AsyncConnection[Any] = await psycopg.AsyncConnection.connect(settings.dsn, autocommit=True)
    except (psycopg.Error, OSError) as error:
        raise StoreFailed(
            f"the database cannot be reached: {connection_fault(error) or type(error).__name__}"
        ) from None
    try:
        await connection.execute(_SESSION)
    except psycopg.Error as error:
        await connection.close()
        raise StoreFailed(f"the database refuses a session: {error.sqlstate}") from None
    return Link(connection, settings.answer_timeout_s)


async def require_schema(settings: Settings) -> None:
    """Refuse to work where an operator has something to mend; Misconfigured names it.

    The server is not trusted or does not let this node in, or the schema is one that this release does not know.
    A `post` migration may be missing, since the release before may still run; one that is unknown is of a later release
    and was applied when this one no longer ran, or is a `pre` that leaves it working. Raises StoreFailed when there is
    no answer.
    """
    try:
        async with await psycopg.AsyncConnection.connect(settings.dsn, autocommit=True) as connection:
            answer = await connection.execute("SELECT number FROM schema_migration")
            seen = {number for (number,) in await answer.fetchall()}
    except psycopg.errors.UndefinedTable:
        seen = set()
    except (psycopg.Error, OSError) as error:
        if (fault := connection_fault(error)) is not None:
            raise Misconfigured(f"the database cannot be reached: {fault}") from None
        raise StoreFailed(f"the database cannot be reached: {type(error).__name__}") from None
    if unseen(seen, "pre"):
        raise Misconfigured("the database lacks migrations of this release: run tallystick store migrate")
