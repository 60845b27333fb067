"""What the SQLite store promises of its audit chain beyond the contract: triggers, two processes, commits that fail."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.audit.chain import chained, read
from tallystick.audit.model import START, Action, Checkpoint
from tallystick.delivery.books import Books
from tallystick.errors import StoreFailed
from tallystick.runtime import Millis


def note(number: int) -> Callable[[Books], Awaitable[None]]:
    async def work(books: Books) -> None:
        await books.append(Action.PAYMENT_MOVED, f"pay_{number}")

    return work


async def whole(store: SqliteStore) -> list[str]:
    """Return the first subject of each entry of a chain that is whole."""
    links = await store.read(lambda books: books.audit_links(0, 1_000))
    before = START.hash
    for seq, link in enumerate(links, 1):
        assert (seq, chained(before, link.body)) == (link.seq, link.hash)
        before = link.hash
    return [read(link.body).subjects[0] for link in links]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET body = '[]'",
        "DELETE FROM audit",
        "UPDATE audit_checkpoint SET at = 9",
        "DELETE FROM audit_checkpoint",
    ],
)
async def test_the_database_refuses_to_change_or_remove_an_entry(tmp_path: Path, statement: str) -> None:
    store = SqliteStore(tmp_path / "store.db")
    checkpoint = Checkpoint(seq=1, hash=bytes(32), at=Millis(1), signature=b"")
    await store.transact(note(1))
    await store.transact(lambda books: books.add_checkpoint(checkpoint))

    with pytest.raises(sqlite3.IntegrityError):
        store._db.execute(statement)

    assert ["pay_1"] == await whole(store)
    assert [checkpoint] == await store.read(lambda books: books.checkpoints(0, 1))
    await store.aclose()


async def test_two_processes_that_take_turns_write_one_chain(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / "store.db") for _ in range(2)]
    for number in range(20):
        await stores[number % 3 % 2].transact(note(number))

    assert [f"pay_{number}" for number in range(20)] == await whole(stores[0])
    for store in stores:
        await store.aclose()


async def test_a_commit_that_fails_leaves_no_gap_behind(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    await store.transact(note(0))
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    long = "x" * 100_000
    with pytest.raises(StoreFailed):
        await store.transact(lambda books: books.append(Action.PAYMENT_MOVED, long))
    store._db.execute("PRAGMA max_page_count = 100000")
    await asyncio.gather(store.transact(note(1)), store.transact(note(2)))

    assert ["pay_0", "pay_1", "pay_2"] == await whole(store)
    await store.aclose()
