"""Every test of the contract runs on every store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from store_samples import AnyStore

from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.testing.memory_store import MemoryStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyStore]:
    made: AnyStore = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "store.db")
    yield made
    await made.aclose()
