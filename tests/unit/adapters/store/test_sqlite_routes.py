"""The routing table on disk: tables of earlier releases, other processes, and what many versions cost."""

import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.adapters.store.sqlite_open import migrate, migrations
from tallystick.errors import Conflict
from tallystick.routing.changes import commit
from tallystick.routing.issuer_file import shipped_rules
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import USUAL_PREFERENCES, BackEnd, NumberPolicy, RoutingTable, Status
from tallystick.routing.table import digest
from tallystick.runtime import Millis
from tallystick.testing.routes import put_back_end, put_issuer_rules

OLD_BACK_END = """
    {"connector": "rest", "currencies": ["CNY"], "id": "12345678", "issuer": true, "name": "Old", "numbers": "platform",
     "priority": 5, "renew_at": "03:00", "schemes": ["qianbao"], "status": "draining", "zone": "Asia/Shanghai"}
"""
OLD_RULES = '[{"prefix": "62", "schemes": ["unionpay"]}, {"prefix": "439225", "schemes": ["unionpay", "visa"]}]'
BANK = BackEnd(id="10000001", name="Bank", connector="rest", schemes=frozenset({"visa"}), status=Status.ACTIVE)


async def read(store: SqliteStore) -> RoutingTable:
    return await store.read(lambda books: books.routing_table())


def before_this_migration(path: Path) -> sqlite3.Connection:
    """Make a database as the release before kept it."""
    db = sqlite3.connect(path, isolation_level=None)
    migrate(db, migrations()[:2])
    return db


async def test_a_table_of_the_release_before_keeps_its_version_rules_back_ends_and_status(tmp_path: Path) -> None:
    db = before_this_migration(tmp_path / "store.db")
    db.execute("UPDATE routing SET version = 7, issuer_rules = ?", (OLD_RULES,))
    db.execute("INSERT INTO back_end (id, name, body) VALUES ('12345678', 'Old', ?)", (OLD_BACK_END,))
    db.close()

    store = SqliteStore(tmp_path / "store.db")
    expected = RoutingTable(
        version=7,
        back_ends=(
            BackEnd(
                id="12345678",
                name="Old",
                connector="rest",
                status=Status.DRAINING,
                schemes=frozenset({"qianbao"}),
                priority=5,
                currencies=frozenset({"CNY"}),
                issuer=True,
                numbers=NumberPolicy.PLATFORM,
                renew_at="03:00",
                zone="Asia/Shanghai",
            ),
        ),
        issuer_rules=(
            IssuerRule(low="62", high="62", schemes=("unionpay",)),
            IssuerRule(low="439225", high="439225", schemes=("unionpay", "visa")),
        ),
        preferences=USUAL_PREFERENCES,
    )
    assert expected == await read(store)
    assert expected == await store.read(lambda books: books.routing_table_at(7))
    (kept,) = await store.read(lambda books: books.route_versions(9))
    assert (7, "migration", "") == (kept.version, kept.author, kept.digest)
    assert 8 == await store.transact(lambda books: put_back_end(books, BANK))
    await store.aclose()


async def test_an_empty_table_of_the_release_before_is_empty(tmp_path: Path) -> None:
    before_this_migration(tmp_path / "store.db").close()
    store = SqliteStore(tmp_path / "store.db")
    assert RoutingTable(version=0, back_ends=(), issuer_rules=()) == await read(store)
    assert [] == await store.read(lambda books: books.route_versions(9))
    await store.aclose()


async def test_another_process_changes_table_and_status_for_the_next_payment(tmp_path: Path) -> None:
    serving, command = SqliteStore(tmp_path / "store.db"), SqliteStore(tmp_path / "store.db")
    await command.transact(lambda books: put_back_end(books, BANK))
    assert (1, (BANK,)) == ((await read(serving)).version, (await read(serving)).back_ends)
    await command.transact(lambda books: books.put_status(BANK.id, Status.DRAINING))
    assert (replace(BANK, status=Status.DRAINING),) == (await read(serving)).back_ends
    await command.transact(lambda books: put_issuer_rules(books, shipped_rules()))
    assert (2, shipped_rules()) == ((await read(serving)).version, (await read(serving)).issuer_rules)
    for store in (serving, command):
        await store.aclose()


async def test_of_two_processes_that_change_one_version_the_second_is_refused(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / "store.db") for _ in range(2)]
    said = [RoutingTable(version=0, back_ends=(), issuer_rules=shipped_rules()[:n]) for n in (1, 2)]
    await stores[0].transact(lambda books: commit(books, said[0], author="ann", note="", at=Millis(0)))
    with pytest.raises(Conflict):
        await stores[1].transact(lambda books: commit(books, said[1], author="bo", note="", at=Millis(0)))
    assert digest(said[0]) == digest(await read(stores[1]))
    for store in stores:
        await store.aclose()


async def test_versions_of_the_same_issuer_rules_keep_them_once(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    await store.transact(lambda books: put_issuer_rules(books, shipped_rules()))
    for priority in range(5):
        back_end = replace(BANK, priority=priority)
        await store.transact(lambda books, back_end=back_end: put_back_end(books, back_end))
    assert 6 == (await read(store)).version
    assert (1,) == store._db.execute("SELECT count(*) FROM issuer_set").fetchone()
    assert shipped_rules() == (await read(store)).issuer_rules
    await store.aclose()
