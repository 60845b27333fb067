"""The store that the settings name, and the clock that goes with it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from tallystick.adapters.store import sqlite_examine
from tallystick.adapters.store.examination import Examined
from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.bootstrap.layout import Layout
from tallystick.channels.ports import AnchorBook, EnrolmentBook
from tallystick.config import StoreSection
from tallystick.delivery.books import Store
from tallystick.errors import Misconfigured
from tallystick.outcomes.ports import OutcomeBooks
from tallystick.runtime import Clock, SystemClock


class AllBooks(OutcomeBooks, EnrolmentBook, AnchorBook, Protocol):
    """Every book of a platform."""


class PlatformStore(Store[AllBooks], Protocol):
    """A store of a platform, with what its operation needs beside works."""

    def load(self) -> float:
        """Return how full the queue of works that wait is, 1 when more are refused."""
        ...

    async def checkpoint(self) -> bool:
        """Take away old images of erased content, where that is this process's task; False: try again later."""
        ...


@contextlib.asynccontextmanager
async def storing(layout: Layout, settings: StoreSection) -> AsyncIterator[tuple[PlatformStore, Clock]]:
    """Open the store and its clock, and close them; raises Misconfigured, and StoreFailed when there is no answer.

    Nodes on one database all judge by its clock; a platform on one machine has that machine's.
    """
    if settings.kind == "sqlite":
        clock: Clock = SystemClock()
        store = SqliteStore(layout.store, clock)
        try:
            yield store, clock
        finally:
            await store.aclose()
        return
    async with _postgres(layout, settings) as opened:
        yield opened


@contextlib.asynccontextmanager
async def _postgres(layout: Layout, settings: StoreSection) -> AsyncIterator[tuple[PlatformStore, Clock]]:
    try:
        from tallystick.adapters.store.postgres.opening import Settings  # noqa: PLC0415 - the extra may be missing
        from tallystick.adapters.store.postgres.store import PostgresStore  # noqa: PLC0415
    except ImportError:
        raise Misconfigured("the PostgreSQL store needs its extra: pip install 'tallystick[postgres]'") from None
    store = PostgresStore(Settings(dsn=connection_string(layout, settings), pool_max=settings.connections))
    try:
        async with store.clock.running():
            yield store, store.clock
    finally:
        await store.aclose()


def connection_string(layout: Layout, settings: StoreSection) -> str:
    """Return how the database is reached, by whom it must be certified; raises Misconfigured."""
    from tallystick.adapters.store.postgres.opening import secured  # noqa: PLC0415 - the extra may be missing

    if settings.dsn is None:
        raise Misconfigured("[store] kind is postgres: give its connection string by TALLYSTICK_STORE__DSN_FILE")
    return secured(settings.dsn.reveal(), layout.root / settings.ca if settings.ca is not None else None)


def examining(layout: Layout, settings: StoreSection) -> AbstractContextManager[Examined]:
    """Open the store to look at its rows; raises Misconfigured and StoreFailed."""
    if settings.kind == "sqlite":
        return sqlite_examine.examining(layout.store)
    from tallystick.adapters.store.postgres import examine  # noqa: PLC0415 - the extra may be missing

    return examine.examining(connection_string(layout, settings))


def migrate(layout: Layout, settings: StoreSection, phases: Sequence[str]) -> list[int]:
    """Bring the database of all nodes up to date; returns the migrations applied. Raises Misconfigured."""
    from tallystick.adapters.store.postgres import migrate  # noqa: PLC0415 - the extra may be missing

    return migrate.migrate(connection_string(layout, settings), phases)


def waiting(layout: Layout, settings: StoreSection) -> dict[str, list[int]]:
    """Return the migrations that wait, by phase; raises Misconfigured."""
    from tallystick.adapters.store.postgres import migrate  # noqa: PLC0415 - the extra may be missing

    seen = migrate.applied(connection_string(layout, settings))
    return {phase: migrate.unseen(seen, phase) for phase in migrate.PHASES}
