"""What the PostgreSQL store does when the server, a connection or a caller goes away."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from databases import PostgresDatabase
from store_samples import at, payment

from tallystick.adapters.store.postgres.link import Lost
from tallystick.adapters.store.postgres.store import PostgresStore
from tallystick.assembly.facts import Fate, PaymentState
from tallystick.delivery.books import Books
from tallystick.errors import Misconfigured, StoreFailed
from tallystick.runtime import SystemClock


@pytest.fixture
async def store(postgres: PostgresDatabase) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(postgres.settings, SystemClock())
    yield made
    await made.aclose()


def end_sessions(database: PostgresDatabase) -> None:
    database.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )


async def test_a_work_whose_connection_is_cut_before_commit_is_run_again_and_counts_once(
    store: PostgresStore, postgres: PostgresDatabase
) -> None:
    runs = 0

    async def work(books: Books) -> None:
        nonlocal runs
        runs += 1
        await books.add_payment(payment())
        if runs == 1:
            end_sessions(postgres)
        await books.decide_fate("pay_1", Fate.JOINED, at(2))

    await store.transact(work)

    assert 2 == runs
    assert [("joined",)] == postgres.rows("SELECT fate FROM payment")
    assert 1 == len(await store.read(lambda books: books.audit_links(0, 10)))


async def test_a_work_that_took_a_lost_compare_and_set_for_won_is_run_again_and_hears_of_it(
    store: PostgresStore, postgres: PostgresDatabase
) -> None:
    moved = {"expected": PaymentState.JOINED, "state": PaymentState.REFUSED, "at": at(3)}
    heard: list[bool] = []

    async def refuse(books: Books) -> None:
        heard.append(await books.advance("pay_1", **moved))
        if heard[-1]:
            await books.add_payment(payment("pay_2"))

    await store.transact(lambda books: books.add_payment(payment()))
    await store.transact(refuse)
    assert [True, False] == heard
    assert [("pay_1",)] == postgres.rows("SELECT id FROM payment")
    assert 1 == len(await store.read(lambda books: books.audit_links(0, 10)))

    await store.transact(lambda books: books.decide_fate("pay_1", Fate.JOINED, at(2)))
    await store.transact(refuse)
    assert [True, False, True] == heard
    assert [("pay_1", "refused"), ("pay_2", "open")] == postgres.rows("SELECT id, state FROM payment ORDER BY seq")


async def test_a_commit_that_nobody_answered_is_not_run_again(
    store: PostgresStore, postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = 0

    async def work(books: Any) -> None:
        nonlocal runs
        runs += 1
        await books.add_payment(payment())
        link = books._link
        drain = link._drain

        async def cut() -> Any:
            if not link.committing:
                return await drain()
            await drain()
            link.close()
            raise Lost

        monkeypatch.setattr(link, "_drain", cut)

    with pytest.raises(StoreFailed, match="not known"):
        await store.transact(work)

    assert 1 == runs
    assert [("pay_1",)] == postgres.rows("SELECT id FROM payment"), "it did count"


async def test_a_caller_cancelled_midway_leaves_nothing_and_no_connection_that_others_would_get(
    store: PostgresStore, postgres: PostgresDatabase
) -> None:
    held = asyncio.Event()

    async def work(books: Books) -> None:
        await books.add_payment(payment())
        held.set()
        await books.decide_fate("pay_1", Fate.JOINED, at(2))

    task = asyncio.create_task(store.transact(work))
    await held.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await store.transact(lambda books: books.payment("pay_1")) is None


async def test_two_works_that_hold_what_the_other_wants_both_count_in_the_end(store: PostgresStore) -> None:
    for payment_id in ("pay_1", "pay_2"):
        await store.transact(lambda books, which=payment_id: books.add_payment(payment(which)))

    async def both(books: Books, first: str, second: str) -> None:
        assert await books.payment(first) is not None
        assert await books.payment(second) is not None
        await books.decide_fate(first, Fate.JOINED, at(2))

    orders = [("pay_1", "pay_2"), ("pay_2", "pay_1")] * 4
    await asyncio.gather(*(store.transact(lambda books, o=order: both(books, *o)) for order in orders))

    found = [await store.read(lambda books, which=each: books.payment(which)) for each in ("pay_1", "pay_2")]
    assert [Fate.JOINED, Fate.JOINED] == [each and each.fate for each in found]


async def test_no_more_connections_are_opened_than_the_pool_may_have(postgres: PostgresDatabase) -> None:
    small = PostgresStore(type(postgres.settings)(dsn=postgres.settings.dsn, pool_max=2), SystemClock())
    most = 0

    async def work(books: Books, number: int) -> None:
        nonlocal most
        await books.add_payment(payment(f"pay_{number}"))
        ((open_now,),) = postgres.rows("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        most = max(most, open_now)

    await asyncio.gather(*(small.transact(lambda books, n=number: work(books, n)) for number in range(20)))
    await small.aclose()

    assert most <= 3, "the pool's two, and the test's own"
    assert [(20,)] == postgres.rows("SELECT count(*) FROM payment")


async def test_a_write_in_a_work_that_was_to_read_only_is_refused(store: PostgresStore) -> None:
    with pytest.raises(Misconfigured):
        await store.read(lambda books: books.remember_nonce("ch", "nonce", at(1)))
    with pytest.raises(Misconfigured):
        await store.read(lambda books: books.add_payment(payment()))

    assert await store.read(lambda books: books.recent_payments(1)) == []


async def test_a_read_sees_one_state_however_many_statements_it_has(
    store: PostgresStore, postgres: PostgresDatabase
) -> None:
    await store.transact(lambda books: books.add_payment(payment()))

    async def twice(books: Books) -> list[Any]:
        before = await books.payment("pay_1")
        postgres.rows("UPDATE payment SET reason = 'changed meanwhile' RETURNING id")
        return [before, await books.payment("pay_1")]

    before, after = await store.read(twice)

    assert before == after
