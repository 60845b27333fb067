"""Every test of the contract runs on every store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from databases import PostgresDatabase
from store_samples import AnyStore

from tallystick.adapters.store.postgres.store import PostgresStore
from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.runtime import SystemClock
from tallystick.testing.memory_store import MemoryStore


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyStore]:
    made: AnyStore
    match request.param:
        case "memory":
            made = MemoryStore()
        case "sqlite":
            made = SqliteStore(tmp_path / "store.db")
        case _:
            database: PostgresDatabase = request.getfixturevalue("postgres")
            made = PostgresStore(database.settings, SystemClock())
    yield made
    await made.aclose()
