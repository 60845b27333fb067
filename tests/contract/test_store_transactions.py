"""What every store promises about transactions."""

import asyncio

import pytest
from store_samples import AnyStore, at, channel, element, part, payment

from tallystick.assembly.facts import Fate
from tallystick.assembly.model import Payment
from tallystick.delivery.books import Books
from tallystick.errors import AlreadyExists, Misconfigured, Replayed, StoreFailed


class OwnError(Exception):
    """An error of the work's own."""


async def test_a_result_is_returned_and_a_write_is_seen_by_later_transactions(store: AnyStore) -> None:
    async def work(books: Books) -> str:
        await books.add_payment(payment())
        return "result"

    assert await store.transact(work) == "result"
    assert await store.transact(lambda books: books.payment("pay_1")) == payment()


async def test_a_work_reads_its_own_writes(store: AnyStore) -> None:
    async def work(books: Books) -> Payment | None:
        await books.add_payment(payment())
        return await books.payment("pay_1")

    assert await store.transact(work) == payment()


async def test_an_error_undoes_every_effect_of_its_work_and_reaches_the_caller(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment("pay_0")))
    await store.transact(lambda books: books.remember_nonce("ch", "old", at(1)))

    async def work(books: Books) -> None:
        await books.add_payment(payment("pay_1"))
        await books.add_part(part("part_1", "pay_1"))
        await books.decide_fate("pay_0", Fate.JOINED, at(2_000))
        await books.purge_replay(at(9), 10)
        await books.next_stan("12345678", "20260101")
        raise OwnError

    with pytest.raises(OwnError):
        await store.transact(work)

    assert await store.transact(lambda books: books.payment("pay_1")) is None
    assert await store.transact(lambda books: books.part("part_1")) is None
    assert await store.transact(lambda books: books.payment("pay_0")) == payment("pay_0")
    assert await store.transact(lambda books: books.open_payment(element(b"pay_0"), "card")) == payment("pay_0")
    assert await store.transact(lambda books: books.next_stan("12345678", "20260101")) == 1
    with pytest.raises(Replayed):
        await store.transact(lambda books: books.remember_nonce("ch", "old", at(1)))


async def test_an_error_undoes_nothing_of_the_works_beside_it(store: AnyStore) -> None:
    async def fail(books: Books) -> None:
        await books.add_payment(payment("pay_bad"))
        raise OwnError

    good = [store.transact(lambda books, i=i: books.add_payment(payment(f"pay_{i}"))) for i in range(6)]
    outcomes = await asyncio.gather(*good[:3], store.transact(fail), *good[3:], return_exceptions=True)

    assert [None, None, None, OwnError, None, None, None] == [type(o) if o else None for o in outcomes]
    kept = await store.transact(lambda books: books.recent_payments(10))
    assert {f"pay_{i}" for i in range(6)} == {row.id for row in kept}


async def test_a_refusal_of_a_book_may_be_caught_and_the_work_goes_on(store: AnyStore) -> None:
    async def work(books: Books) -> None:
        await books.add_payment(payment("pay_1"))
        with pytest.raises(AlreadyExists):
            await books.add_payment(payment("pay_1"))
        await books.add_payment(payment("pay_2"))

    await store.transact(work)

    assert len(await store.transact(lambda books: books.recent_payments(10))) == 2


async def test_a_channel_written_and_undone_leaves_no_trace_for_later_reads(store: AnyStore) -> None:
    async def work(books: Books) -> None:
        await books.replace_channel(channel(algorithm="ed25519"))
        assert (await books.channel("ch_pc")) == channel(algorithm="ed25519")
        raise OwnError

    await store.transact(lambda books: books.add_channel(channel()))
    assert await store.transact(lambda books: books.channel("ch_pc")) == channel()
    outcomes = await asyncio.gather(
        store.transact(work), store.transact(lambda books: books.channel("ch_pc")), return_exceptions=True
    )

    assert isinstance(outcomes[0], OwnError)
    assert channel() == outcomes[1]
    assert await store.transact(lambda books: books.channel("ch_pc")) == channel()


async def test_a_work_that_waits_on_something_else_is_refused_and_undone(store: AnyStore) -> None:
    async def work(books: Books) -> None:
        await books.add_payment(payment())
        await asyncio.sleep(0)

    with pytest.raises(Misconfigured):
        await store.transact(work)

    assert await store.transact(lambda books: books.payment("pay_1")) is None


async def test_a_transaction_inside_a_transaction_is_refused_and_never_runs(store: AnyStore) -> None:
    async def outer(books: Books) -> None:
        await books.add_payment(payment("pay_outer"))
        await store.transact(lambda inner: inner.add_payment(payment("pay_inner")))

    with pytest.raises(Misconfigured):
        await store.transact(outer)

    assert await store.transact(lambda books: books.recent_payments(10)) == []


async def test_a_caller_cancelled_before_its_work_began_leaves_no_effect(store: AnyStore) -> None:
    task = asyncio.ensure_future(store.transact(lambda books: books.add_payment(payment("pay_1"))))
    other = asyncio.ensure_future(store.transact(lambda books: books.add_payment(payment("pay_2"))))
    task.cancel()
    await asyncio.wait([task, other])

    assert task.cancelled()
    assert await store.transact(lambda books: books.payment("pay_1")) is None
    assert await store.transact(lambda books: books.payment("pay_2")) is not None


async def test_a_part_of_no_payment_fails_its_transaction_only(store: AnyStore) -> None:
    outcomes = await asyncio.gather(
        store.transact(lambda books: books.add_part(part("part_1", "pay_none"))),
        store.transact(lambda books: books.add_payment(payment())),
        return_exceptions=True,
    )

    assert isinstance(outcomes[0], StoreFailed)
    assert await store.transact(lambda books: books.payment("pay_1")) is not None


async def test_a_closed_store_refuses_and_may_be_closed_again(store: AnyStore) -> None:
    await store.aclose()
    await store.aclose()

    with pytest.raises(StoreFailed):
        await store.transact(lambda books: books.payment("pay_1"))
