"""What every store promises about intents and trace numbers."""

import asyncio

import pytest
from store_samples import AnyStore, at, intent, payment

from tallystick.delivery.model import IntentState, MessageIds
from tallystick.errors import AlreadyExists, StoreFailed, TooMany

STAN_MAX = 999_999


async def add(store: AnyStore, *intents: object) -> None:
    for row in intents:
        await store.transact(lambda books, row=row: books.add_intent(row))


async def settle(store: AnyStore, state: IntentState, ms: int, code: str | None = None, n: int = 1) -> bool:
    return await store.transact(lambda books: books.settle_intent("pay_1", n, state=state, code=code, at=at(ms)))


async def test_trace_numbers_count_from_one_for_each_back_end_and_day(store: AnyStore) -> None:
    days = [("a", "20260101"), ("a", "20260101"), ("b", "20260101"), ("a", "20260102"), ("a", "20260101")]
    stans = [await store.transact(lambda books, day=day: books.next_stan(*day)) for day in days]
    assert stans == [1, 2, 1, 1, 3]


async def test_trace_numbers_drawn_at_once_all_differ(store: AnyStore) -> None:
    draws = (store.transact(lambda books: books.next_stan("a", "20260101")) for _ in range(100))
    assert sorted(await asyncio.gather(*draws)) == list(range(1, 101))


async def test_after_999999_trace_numbers_the_day_is_refused_and_the_next_one_is_not(
    store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("tallystick.adapters.store.sqlite_intents", "tallystick.testing.memory_books"):
        assert __import__(module, fromlist=["STAN_MAX"]).STAN_MAX == STAN_MAX
        monkeypatch.setattr(f"{module}.STAN_MAX", 3)
    for _ in range(3):
        await store.transact(lambda books: books.next_stan("a", "20260101"))

    for _ in range(2):
        with pytest.raises(TooMany):
            await store.transact(lambda books: books.next_stan("a", "20260101"))
    assert await store.transact(lambda books: books.next_stan("a", "20260102")) == 1


async def test_intents_come_back_whole_and_listed_by_number(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    await store.transact(lambda books: books.add_payment(payment("pay_2")))
    ids = MessageIds(stan="999999", rrn="636523999999", key="req_2", at=at(3_000))
    rows = [
        intent(n=2, ids=ids, back_end="87654321", state=IntentState.DECLINED, code="51", settled_at=3_100),
        intent(n=1, digest=b"\x00"),
    ]
    await add(store, *rows, intent("pay_2", 1))

    assert await store.transact(lambda books: books.intents("pay_1")) == [rows[1], rows[0]]
    assert await store.transact(lambda books: books.intents("pay_none")) == []


async def test_a_payment_has_one_intent_of_each_number(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    await add(store, intent())

    with pytest.raises(AlreadyExists):
        await add(store, intent(back_end="87654321"))
    assert await store.transact(lambda books: books.intents("pay_1")) == [intent()]


async def test_an_intent_of_no_payment_is_refused(store: AnyStore) -> None:
    with pytest.raises(StoreFailed):
        await add(store, intent("pay_none"))


async def test_an_intent_is_settled_once(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    await add(store, intent(), intent(n=2))

    assert await settle(store, IntentState.APPROVED, 2_500, "00") is True
    assert await settle(store, IntentState.UNKNOWN, 2_600) is False
    assert await settle(store, IntentState.UNKNOWN, 2_600, n=3) is False
    settled = intent(state=IntentState.APPROVED, code="00", settled_at=2_500)
    assert await store.transact(lambda books: books.intents("pay_1")) == [settled, intent(n=2)]


async def test_of_fifty_that_settle_at_once_exactly_one_wins(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    await add(store, intent())

    outcomes = await asyncio.gather(*(settle(store, IntentState.UNKNOWN, ms) for ms in range(50)))
    assert outcomes.count(True) == 1


async def test_unsettled_intents_are_listed_oldest_first(store: AnyStore) -> None:
    for payment_id in ("pay_1", "pay_2"):
        await store.transact(lambda books, payment_id=payment_id: books.add_payment(payment(payment_id)))
    await add(store, intent("pay_2", 1), intent("pay_1", 1), intent("pay_1", 2))
    await settle(store, IntentState.NOT_SENT, 2_500)

    expected = [intent("pay_2", 1), intent("pay_1", 2)]
    assert expected == await store.transact(lambda books: books.sending_intents(10))
    assert expected[:1] == await store.transact(lambda books: books.sending_intents(1))
