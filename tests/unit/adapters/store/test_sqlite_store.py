"""What the SQLite store promises beyond the contract: durability, one wait for the disk, other processes, erasure."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.adapters.store import sqlite
from tallystick.adapters.store import sqlite_intents as intents
from tallystick.adapters.store.sqlite import SqliteBooks, SqliteStore
from tallystick.adapters.store.sqlite_payments import IN_STATE
from tallystick.assembly.facts import DOUBTFUL_STATES, ElementKind, PaymentState
from tallystick.assembly.model import Element, Part, Payment
from tallystick.channels.model import Channel, ChannelKind, ChannelState
from tallystick.errors import StoreFailed, Unavailable
from tallystick.routing.model import BackEnd, Status
from tallystick.runtime import Millis
from tallystick.testing.routes import put_back_end

SECRET = b"a sealed content that must not be found again"
PARALLEL = 8
ACKNOWLEDGED = 200

CHILD = """
import asyncio, sys
from pathlib import Path
from tallystick.adapters.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    async def writer(name):
        n = 0
        while True:
            nonce = f"{name}-{n}"
            await store.transact(lambda books: books.remember_nonce("ch", nonce, 1))
            print(nonce, flush=True)
            n += 1
    await asyncio.gather(*(writer(name) for name in range(int(sys.argv[2]))))

asyncio.run(main())
"""


def payment(payment_id: str) -> Payment:
    element, at = Element(kind=ElementKind.PHONE, digest=payment_id.encode()), Millis(1_000)
    return Payment(
        id=payment_id, policy="card", element=element, claimed=True, opened_at=at, expires_at=at, updated_at=at
    )


def part(part_id: str, payment_id: str, sealed: bytes = SECRET) -> Part:
    return Part(
        id=part_id,
        payment_id=payment_id,
        channel_id="ch",
        certificate="c",
        fields=frozenset({"pan"}),
        received_at=Millis(1),
        epoch="e",
        sealed=sealed,
    )


def channel(algorithm: str) -> Channel:
    return Channel(
        id="ch",
        name="PC",
        kind=ChannelKind.PC_BROWSER,
        state=ChannelState.ACTIVE,
        fields=frozenset(),
        proves_payer=False,
        algorithm=algorithm,
        sealed_key=b"k",
        created_at=Millis(1),
    )


def back_end(name: str) -> BackEnd:
    return BackEnd(id="12345678", name=name, connector="rest", status=Status.ACTIVE, schemes=frozenset({"visa"}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(path)
    yield made
    await made.aclose()


def traced(store: SqliteStore) -> list[str]:
    """Note every statement the store runs from now on."""
    ran: list[str] = []
    store._db.set_trace_callback(ran.append)
    return ran


async def test_what_was_acknowledged_is_there_after_closing_and_opening_again(path: Path) -> None:
    store = SqliteStore(path)
    await store.transact(lambda books: books.add_payment(payment("pay_1")))
    await store.aclose()

    again = SqliteStore(path)
    assert await again.transact(lambda books: books.payment("pay_1")) == payment("pay_1")
    await again.aclose()


async def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, path, str(PARALLEL)], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220, S603  # a real process must die; nothing else runs here
    with child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(ACKNOWLEDGED)]
        child.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]

    assert child.returncode == -signal.SIGKILL
    store = SqliteStore(path)
    kept = {nonce for (nonce,) in store._db.execute("SELECT nonce FROM nonce")}
    assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    await store.aclose()
    assert set() == set(acknowledged) - kept
    assert len(acknowledged) >= ACKNOWLEDGED


async def test_works_that_arrive_together_share_one_commit(store: SqliteStore) -> None:
    ran = traced(store)
    await asyncio.gather(*(store.transact(lambda books, i=i: books.add_payment(payment(f"pay_{i}"))) for i in range(9)))

    assert [1, 9] == [ran.count("COMMIT"), ran.count("SAVEPOINT work")]


async def test_a_batch_is_bounded_and_the_rest_follows(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BATCH_MAX", 4)
    ran = traced(store)
    works = [store.transact(lambda books, i=i: books.add_payment(payment(f"pay_{i}"))) for i in range(9)]
    await asyncio.gather(*works)

    assert ran.count("COMMIT") == 3
    assert len(await store.transact(lambda books: books.recent_payments(20))) == 9


async def test_too_many_waiting_works_are_refused_before_they_begin(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "WAITING_MAX", 2)
    works = [store.transact(lambda books, i=i: books.add_payment(payment(f"pay_{i}"))) for i in range(3)]
    outcomes = await asyncio.gather(*works, return_exceptions=True)

    assert [None, None, Unavailable] == [type(outcome) if outcome else None for outcome in outcomes]
    assert len(await store.transact(lambda books: books.recent_payments(20))) == 2


async def test_when_the_commit_fails_every_work_of_the_batch_fails_and_nothing_counts(store: SqliteStore) -> None:
    async def break_the_commit(books: SqliteBooks) -> None:
        books._db.execute("PRAGMA defer_foreign_keys = ON")
        await books.add_part(part("part_1", "pay_none"))

    outcomes = await asyncio.gather(
        store.transact(lambda books: books.add_payment(payment("pay_1"))),
        store.transact(break_the_commit),
        store.transact(lambda books: books.add_payment(payment("pay_2"))),
        return_exceptions=True,
    )

    assert [StoreFailed] * 3 == [type(outcome) for outcome in outcomes]
    assert await store.transact(lambda books: books.recent_payments(9)) == []
    await store.transact(lambda books: books.add_payment(payment("pay_3")))


async def test_whatever_undoes_a_batch_its_callers_hear_of_it_and_the_store_goes_on(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a row that cannot be: 6212")

    with monkeypatch.context() as patched:
        patched.setattr(store._books, "chain_up", broken)
        async with asyncio.timeout(5):
            with pytest.raises(StoreFailed, match="ValueError") as failure:
                await store.transact(lambda books: books.add_payment(payment("pay_1")))
    assert "6212" not in str(failure.value)
    assert await store.transact(lambda books: books.recent_payments(9)) == []
    await store.transact(lambda books: books.add_payment(payment("pay_2")))


async def test_a_full_disk_fails_what_does_not_fit_and_the_store_goes_on(store: SqliteStore) -> None:
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")

    async def fill(books: SqliteBooks) -> None:
        await books.add_payment(payment("pay_big"))
        await books.add_part(part("part_1", "pay_big", bytes(100_000)))

    with pytest.raises(StoreFailed, match="SQLITE_FULL"):
        await store.transact(fill)
    assert await store.transact(lambda books: books.payment("pay_big")) is None
    await store.transact(lambda books: books.add_payment(payment("pay_small")))
    assert await store.transact(lambda books: books.payment("pay_small")) == payment("pay_small")


async def test_when_sqlite_gives_up_the_whole_transaction_nobody_is_acknowledged(store: SqliteStore) -> None:
    async def lose_everything(books: SqliteBooks) -> None:
        books._db.execute("ROLLBACK")

    outcomes = await asyncio.gather(
        store.transact(lambda books: books.add_payment(payment("pay_1"))),
        store.transact(lose_everything),
        store.transact(lambda books: books.add_payment(payment("pay_2"))),
        return_exceptions=True,
    )

    assert [StoreFailed] * 3 == [type(outcome) for outcome in outcomes]
    assert await store.transact(lambda books: books.recent_payments(9)) == []


async def test_a_caller_cancelled_by_another_work_of_its_batch_disturbs_nobody(store: SqliteStore) -> None:
    async def cancel_it(books: SqliteBooks) -> None:
        victim.cancel()

    first = asyncio.ensure_future(store.transact(cancel_it))
    victim = asyncio.ensure_future(store.transact(lambda books: books.add_payment(payment("pay_1"))))
    last = asyncio.ensure_future(store.transact(lambda books: books.add_payment(payment("pay_2"))))
    await asyncio.wait([first, victim, last])

    assert victim.cancelled()
    assert last.exception() is None
    assert [row.id for row in await store.transact(lambda books: books.recent_payments(9))] == ["pay_2"]


async def test_closing_finishes_the_works_that_wait(path: Path) -> None:
    store = SqliteStore(path)
    task = asyncio.ensure_future(store.transact(lambda books: books.add_payment(payment("pay_1"))))
    await asyncio.sleep(0)
    await store.aclose()
    await task

    again = SqliteStore(path)
    assert await again.transact(lambda books: books.payment("pay_1")) == payment("pay_1")
    await again.aclose()


async def test_a_second_process_is_seen_at_the_next_transaction(store: SqliteStore, path: Path) -> None:
    async def settings(books: SqliteBooks) -> tuple[Any, ...]:
        seen = await books.channel("ch")
        table = await books.routing_table()
        return seen and seen.algorithm, table.version, await books.connector_settings("12345678")

    async def change(books: SqliteBooks) -> None:
        await books.replace_channel(channel("ed25519"))
        await put_back_end(books, back_end("Two"))
        await books.put_connector_settings("12345678", b"two")

    await store.transact(lambda books: books.add_channel(channel("hmac-sha256")))
    await store.transact(lambda books: put_back_end(books, back_end("One")))
    await store.transact(lambda books: books.put_connector_settings("12345678", b"one"))
    assert await store.transact(settings) == ("hmac-sha256", 1, b"one")

    other = SqliteStore(path)
    await other.transact(change)
    assert await store.transact(settings) == ("ed25519", 2, b"two")
    await other.aclose()


async def test_channels_routes_and_settings_are_read_from_the_database_once(store: SqliteStore) -> None:
    async def read(books: SqliteBooks) -> None:
        assert await books.channel("ch") is not None
        assert (await books.routing_table()).version == 1
        assert await books.connector_settings("12345678") == b"one"

    await store.transact(lambda books: books.add_channel(channel("hmac-sha256")))
    await store.transact(lambda books: put_back_end(books, back_end("One")))
    await store.transact(lambda books: books.put_connector_settings("12345678", b"one"))
    await store.transact(read)
    ran = traced(store)
    await store.transact(read)

    assert [] == [statement for statement in ran if statement.startswith("SELECT")]


async def test_while_another_process_writes_too_long_the_works_fail_and_may_be_repeated(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.01)
    other = SqliteStore(path)
    other._db.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreFailed, match="SQLITE_BUSY"):
        await store.transact(lambda books: books.add_payment(payment("pay_1")))
    other._db.execute("ROLLBACK")
    await store.transact(lambda books: books.add_payment(payment("pay_1")))
    await other.aclose()


async def test_while_another_process_writes_works_wait_and_everything_else_goes_on(
    store: SqliteStore, path: Path
) -> None:
    other = SqliteStore(path)
    other._db.execute("BEGIN IMMEDIATE")
    waiting = [
        asyncio.create_task(store.transact(lambda books, n=n: books.add_payment(payment(f"pay_{n}")))) for n in range(3)
    ]
    await asyncio.sleep(0)
    began = time.monotonic()
    for _ in range(20):
        assert None is await store.read(lambda books: books.payment("pay_0"))
        await asyncio.sleep(0.001)
    assert time.monotonic() - began < sqlite.BUSY_TIMEOUT_S / 2
    assert [False] * 3 == [task.done() for task in waiting]
    other._db.execute("ROLLBACK")
    await asyncio.gather(*waiting)
    assert await other.read(lambda books: books.payment("pay_2"))
    await other.aclose()


async def test_a_store_that_closes_finishes_what_waits_for_another_process(store: SqliteStore, path: Path) -> None:
    other = SqliteStore(path)
    other._db.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(store.transact(lambda books: books.add_payment(payment("pay_1"))))
    await asyncio.sleep(0)
    closing = asyncio.create_task(store.aclose())
    await asyncio.sleep(0.01)
    assert not closing.done()
    other._db.execute("ROLLBACK")
    await asyncio.gather(closing, waiting)
    assert await other.read(lambda books: books.payment("pay_1"))
    await other.aclose()


async def test_erased_content_is_in_no_file_after_a_checkpoint(store: SqliteStore, path: Path) -> None:
    def found() -> list[str]:
        return sorted(file.name for file in path.parent.iterdir() if SECRET in file.read_bytes())

    async def file_two(books: SqliteBooks) -> None:
        await books.add_payment(payment("pay_1"))
        await books.add_part(part("part_1", "pay_1"))
        await books.add_part(part("part_2", "pay_1", SECRET * 400))

    async def drop_and_erase(books: SqliteBooks) -> None:
        await books.drop_part("part_1")
        await books.erase_parts("pay_1")

    await store.transact(file_two)
    assert await store.checkpoint()
    assert ["store.db"] == found()
    await store.transact(drop_and_erase)
    assert await store.checkpoint()
    assert [] == found()


async def test_a_checkpoint_empties_the_log_unless_another_process_reads_from_it(
    store: SqliteStore, path: Path
) -> None:
    log = path.with_name("store.db-wal")
    await store.transact(lambda books: books.add_payment(payment("pay_1")))
    assert log.stat().st_size > 0
    reader = SqliteStore(path)
    reader._db.execute("BEGIN")
    reader._db.execute("SELECT 1 FROM payment").fetchall()
    await store.transact(lambda books: books.add_payment(payment("pay_2")))
    store._db.execute("PRAGMA busy_timeout = 1")

    assert await store.checkpoint() is False
    reader._db.execute("ROLLBACK")
    assert await store.checkpoint() is True
    assert log.stat().st_size == 0
    await reader.aclose()


async def test_the_connection_is_set_up_for_durability_and_erasure(store: SqliteStore) -> None:
    names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "temp_store")
    assert ["wal", 2, 1, 1, 2] == [store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]


async def test_only_the_owner_may_read_the_files(store: SqliteStore, path: Path) -> None:
    await store.transact(lambda books: books.add_payment(payment("pay_1")))

    assert {0o600} == {file.stat().st_mode & 0o777 for file in path.parent.iterdir()}


def plan_of(store: SqliteStore, statement: str, *values: object) -> str:
    return str(store._db.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall())


MOVING = [PaymentState.JOINED, PaymentState.DELIVERING, *sorted(DOUBTFUL_STATES)]


@pytest.mark.parametrize("state", MOVING)
async def test_a_restart_finds_moving_payments_by_an_index_and_in_its_order(
    store: SqliteStore, state: PaymentState
) -> None:
    plan = plan_of(store, IN_STATE[state], 9)
    assert ("payment_moving" in plan, "TEMP B-TREE" in plan) == (True, False)


@pytest.mark.parametrize(
    ("statement", "values", "indexes"),
    [
        (intents.LOST, (0, 9), {"intent_sending", "sqlite_autoindex_node_1"}),
        (intents.DUE, (9, 9), {"intent_due"}),
        (intents.UNSETTLED, ("10000001",), {"intent_sending", "intent_unknown"}),
        (intents.ACCOUNTS_KEPT, (), {"intent_sending", "intent_unknown"}),
        (intents.LIST, ("pay_1",), {"sqlite_autoindex_intent_1"}),
        (intents.SETTLE, ("done", None, 9, "pay_1", 1, "sending"), {"sqlite_autoindex_intent_1"}),
        (intents.SCHEDULE, (1, 9, "pay_1", 1, 0), {"sqlite_autoindex_intent_1"}),
    ],
    ids=["sending", "due", "unsettled", "accounts kept", "list", "settle", "schedule"],
)
async def test_intents_are_found_by_an_index_however_many_are_settled(
    store: SqliteStore, statement: str, values: tuple[object, ...], indexes: set[str]
) -> None:
    plan = plan_of(store, statement, *values)
    assert indexes == set(re.findall(r"INDEX (\w+)", plan))
    assert "SCAN intent'" not in plan
