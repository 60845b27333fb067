"""Every test of the contract runs on every store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from databases import PostgresDatabase
from store_samples import AnyStore

from tallystick.adapters.store.postgres.store import PostgresStore
from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.testing.memory_store import MemoryStore

NOT_YET: frozenset[str] = frozenset(
    {
        "test_store_access",
        "test_store_anchors",
        "test_store_audit",  # PG-B: needs channels
        "test_store_backlog",  # and notices
        "test_store_events",
        "test_store_transactions",
        "test_store_capabilities",
        "test_store_enrolments",
        "test_store_kept",
        "test_store_limits",
        "test_store_merchants",
        "test_store_operators",
        "test_store_pins",
        "test_store_routes",
        "test_store_vault",
    }
)
"""Modules whose books PostgreSQL does not have yet."""


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyStore]:
    made: AnyStore
    match request.param:
        case "memory":
            made = MemoryStore()
        case "sqlite":
            made = SqliteStore(tmp_path / "store.db")
        case _:
            if request.module.__name__ in NOT_YET:
                pytest.skip("the books of this module are not written for PostgreSQL yet")
            database: PostgresDatabase = request.getfixturevalue("postgres")
            made = PostgresStore(database.settings)
    yield made
    await made.aclose()
