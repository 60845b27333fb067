"""Rows kept in memory are given up when another process has changed one of them, and only then."""

# ruff: noqa: S608  # the tables are those that the store itself asked for

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from tallystick.adapters.store.sqlite import SqliteBooks, SqliteStore
from tallystick.adapters.store.sqlite_book import SETTINGS_VERSION, Cache
from tallystick.channels.model import Channel, ChannelKind, ChannelState, PinKey, PinScheme
from tallystick.errors import NotFound
from tallystick.routing.model import BackEnd, Status
from tallystick.runtime import Millis
from tallystick.testing.routes import put_back_end

CHANNEL: Final = Channel(
    id="ch",
    name="PC",
    kind=ChannelKind.PC_BROWSER,
    state=ChannelState.ACTIVE,
    fields=frozenset(),
    proves_payer=False,
    algorithm="hmac-sha256",
    sealed_key=b"k",
    created_at=Millis(1),
)
KEY: Final = PinKey(
    name="app", channel_id="ch", scheme=PinScheme.DUKPT_AES, key_block="D0112", created_at=Millis(1), retired_at=None
)
BANK: Final = BackEnd(id="12345678", name="Bank", connector="rest", status=Status.ACTIVE, schemes=frozenset({"visa"}))

NO_ROWS: Final = {"head", "keeps", "_data_version", "_settings_version"}
"""Attributes of `Cache` that are no rows of operators."""

Change = Callable[[SqliteBooks], Awaitable[Any]]


async def set_up(books: SqliteBooks) -> None:
    await books.add_channel(CHANNEL)
    await books.add_pin_key(KEY)
    await put_back_end(books, BANK)
    await books.put_connector_settings(BANK.id, b"one")


async def read_all(books: SqliteBooks) -> tuple[Any, ...]:
    """Read one row of each kind that is kept."""
    return (
        await books.channel("ch"),
        await books.pin_keys("ch"),
        await books.connector_settings(BANK.id),
        await books.routing_table(),
    )


async def pay(books: SqliteBooks) -> None:
    """Write something of a payment, and an entry in the audit chain with it."""
    await books.remember_nonce("ch", "n", Millis(1))
    assert await books.advance_pin_counter("app", "device", 1)


CHANGES: Final[dict[str, Change]] = {
    "a channel": lambda books: books.replace_channel(replace(CHANNEL, state=ChannelState.SUSPENDED)),
    "a PIN key is added": lambda books: books.add_pin_key(replace(KEY, name="second")),
    "a PIN key is retired": lambda books: books.retire_pin_key("app", Millis(2)),
    "a connector": lambda books: books.put_connector_settings(BANK.id, b"two"),
    "a route": lambda books: put_back_end(books, replace(BANK, name="Other")),
    "a status": lambda books: books.put_status(BANK.id, Status.SUSPENDED),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(path)
    await made.transact(set_up)
    await made.transact(read_all)
    yield made
    await made.aclose()


@pytest.fixture
async def other(store: SqliteStore, path: Path) -> AsyncIterator[SqliteStore]:
    """Return the store of another process on the same file."""
    made = SqliteStore(path)
    yield made
    await made.aclose()


def selects(store: SqliteStore) -> list[str]:
    """Note every SELECT the store runs from now on."""
    ran: list[str] = []
    store._db.set_trace_callback(lambda text: ran.append(text) if text.startswith("SELECT") else None)
    return ran


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_change_by_another_process_is_seen_by_the_next_read_and_the_next_transaction(
    store: SqliteStore, other: SqliteStore, change: Change
) -> None:
    third = SqliteStore(Path(store._db.execute("PRAGMA database_list").fetchone()[2]))
    before = await store.read(read_all)
    assert before == await third.transact(read_all)
    await other.transact(change)

    after = await store.read(read_all)
    assert before != after
    assert after == await third.transact(read_all) == await other.read(read_all)
    await third.aclose()


async def test_what_another_process_does_for_a_payment_leaves_everything_kept(
    store: SqliteStore, other: SqliteStore
) -> None:
    before = await store.read(read_all)
    ran = selects(store)
    await other.transact(pay)
    assert before == await store.read(read_all)
    await other.transact(lambda books: books.remember_nonce("ch", "n2", Millis(1)))
    assert before == await store.transact(read_all)
    await store.transact(read_all)

    assert [SETTINGS_VERSION] * 2 == ran


async def test_a_change_that_another_process_took_back_leaves_everything_kept(
    store: SqliteStore, other: SqliteStore
) -> None:
    async def change_and_fail(books: SqliteBooks) -> None:
        await books.put_connector_settings(BANK.id, b"two")
        raise NotFound("planted")

    ran = selects(store)
    with pytest.raises(NotFound):
        await other.transact(change_and_fail)
    await other.transact(pay)
    await store.read(read_all)

    assert [SETTINGS_VERSION] == ran


async def test_changes_by_two_processes_in_turns_are_each_seen_by_both(store: SqliteStore, other: SqliteStore) -> None:
    for number, name in enumerate(("one", "two", "three", "four", "five")):
        changing, watching = (store, other) if number % 2 else (other, store)
        changed = replace(CHANNEL, name=name)
        await changing.transact(lambda books, changed=changed: books.replace_channel(changed))
        assert [changed] * 2 == [await each.read(lambda books: books.channel("ch")) for each in (watching, changing)]


# Every table that kept rows come from has its triggers


def test_nothing_is_kept_that_this_page_does_not_read() -> None:
    """When this fails: let `read_all` and `CHANGES` have the new kind; its tables then need triggers, see below."""
    assert {"channels", "connectors", "pin_keys", "table"} == vars(Cache()).keys() - NO_ROWS


async def tables_of_kept_rows(path: Path) -> set[str]:
    """Return what the database was asked for to fill an empty cache."""
    store, asked = SqliteStore(path), set[str]()

    def note(action: int, table: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_READ and table is not None:
            asked.add(table)
        return sqlite3.SQLITE_OK

    store._db.set_authorizer(note)
    await store.read(read_all)
    store._db.set_authorizer(None)
    assert all(kept for name, kept in vars(store._cache).items() if name not in NO_ROWS)
    await store.aclose()
    return asked - {"settings_version"}


def unmoved(path: Path, tables: Iterable[str]) -> set[tuple[str, str]]:
    """Return the writes on any of the tables that leave `settings_version` as it was; each is done to a real row."""
    found = set()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for table in tables:
            column = db.execute(f"PRAGMA table_info({table})").fetchone()[1]
            row = db.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
            writes: dict[str, tuple[str, tuple[Any, ...]]] = {
                "UPDATE": (f"UPDATE {table} SET {column} = {column}", ()),
                "DELETE": (f"DELETE FROM {table}", ()),
                "INSERT": (f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row),
            }
            for kind, (statement, values) in writes.items():
                before = db.execute(SETTINGS_VERSION).fetchone()
                assert db.execute(statement, values).rowcount
                if before == db.execute(SETTINGS_VERSION).fetchone():
                    found.add((table, kind))
    return found


async def test_each_write_to_a_table_that_kept_rows_come_from_moves_the_number(store: SqliteStore, path: Path) -> None:
    tables = await tables_of_kept_rows(path)

    assert {"channel", "pin_key", "connector", "route_version", "issuer_set", "back_end_status"} == tables
    assert set() == unmoved(path, tables)


async def test_a_table_without_a_trigger_is_found(store: SqliteStore, path: Path) -> None:
    store._db.execute("DROP TRIGGER connector_changed")
    store._db.execute("DROP TRIGGER back_end_status_added")

    assert {("connector", "UPDATE"), ("back_end_status", "INSERT")} == unmoved(path, await tables_of_kept_rows(path))
