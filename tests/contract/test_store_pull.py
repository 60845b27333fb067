"""What every store promises about deliveries that back ends fetch."""

import asyncio

import pytest
from msgspec.structs import replace
from store_samples import AnyStore, at

from tallystick.delivery.model import PullDelivery, PullState, Verdict
from tallystick.errors import AlreadyExists

BANK, OTHER = "10000001", "10000002"


def pull(key: str = "req_1", back_end: str = BANK, **fields: object) -> PullDelivery:
    return PullDelivery(**{"key": key, "back_end": back_end, "visible_until": at(2_000), "body": b"sealed", **fields})


async def add(store: AnyStore, *deliveries: PullDelivery) -> None:
    for delivery in deliveries:
        await store.transact(lambda books, delivery=delivery: books.add_pull(delivery))


async def put(store: AnyStore, delivery: PullDelivery, expected: PullState) -> bool:
    return await store.transact(lambda books: books.replace_pull(delivery, expected=expected))


async def next_key(store: AnyStore, now: int, back_end: str = BANK) -> str | None:
    found = await store.read(lambda books: books.next_pull(back_end, at(now)))
    return found.key if found else None


async def test_a_delivery_comes_back_as_it_was_written(store: AnyStore) -> None:
    done = pull(
        "req_2", state=PullState.DONE, body=None, verdict=Verdict.DECLINED, code="51", approval="031337", due_at=at(3)
    )
    await add(store, pull(), done)
    assert pull() == await store.read(lambda books: books.pull("req_1"))
    assert done == await store.read(lambda books: books.pull("req_2"))
    assert await store.read(lambda books: books.pull("req_none")) is None


async def test_a_key_is_taken_once(store: AnyStore) -> None:
    await add(store, pull())
    with pytest.raises(AlreadyExists):
        await add(store, pull(back_end=OTHER))
    assert pull() == await store.read(lambda books: books.pull("req_1"))


async def test_of_many_that_take_a_delivery_at_once_one_wins(store: AnyStore) -> None:
    await add(store, pull())
    taken = pull(state=PullState.TAKEN, body=None)
    won = await asyncio.gather(*(put(store, taken, PullState.WAITING) for _ in range(8)))
    assert 1 == won.count(True)
    assert taken == await store.read(lambda books: books.pull("req_1"))


async def test_a_change_of_another_state_than_expected_changes_nothing(store: AnyStore) -> None:
    await add(store, pull())
    assert not await put(store, pull(state=PullState.DONE), PullState.TAKEN)
    assert not await put(store, pull("req_none"), PullState.WAITING)
    assert pull() == await store.read(lambda books: books.pull("req_1"))


async def test_the_oldest_visible_delivery_of_the_back_end_itself_comes_first(store: AnyStore) -> None:
    await add(store, pull("req_1", OTHER), pull("req_2"), pull("req_3", visible_until=at(9_000)))
    assert "req_2" == await next_key(store, 1_999)
    assert "req_1" == await next_key(store, 1_999, OTHER)
    assert "req_3" == await next_key(store, 2_000)
    assert await next_key(store, 9_000) is None


async def test_a_taken_or_withdrawn_delivery_is_handed_out_no_more(store: AnyStore) -> None:
    await add(store, pull("req_1"), pull("req_2"))
    await put(store, replace(pull("req_1"), state=PullState.TAKEN, body=None), PullState.WAITING)
    await put(store, replace(pull("req_2"), state=PullState.WITHDRAWN, body=None), PullState.WAITING)
    assert await next_key(store, 0) is None


async def test_a_reversal_comes_before_deliveries_once_it_is_due_and_the_longest_due_first(store: AnyStore) -> None:
    asked = PullState.CANCEL_ASKED
    await add(
        store,
        pull("req_1"),
        pull("req_2", state=asked, due_at=at(600)),
        pull("req_3", state=asked, due_at=at(500)),
        pull("req_4", OTHER, state=asked, due_at=at(100)),
    )
    assert "req_1" == await next_key(store, 499)
    assert "req_3" == await next_key(store, 700)


async def test_the_last_poll_of_each_back_end_is_remembered(store: AnyStore) -> None:
    for back_end, ms in ((BANK, 1), (OTHER, 2), (BANK, 3)):
        await store.transact(lambda books, back_end=back_end, ms=ms: books.note_poll(back_end, at(ms)))
    assert 3 == await store.read(lambda books: books.polled_at(BANK))
    assert 2 == await store.read(lambda books: books.polled_at(OTHER))
    assert await store.read(lambda books: books.polled_at("none")) is None


async def test_a_delivery_whose_transaction_fails_leaves_nothing(store: AnyStore) -> None:
    async def fail(books: object) -> None:
        await books.add_pull(pull())  # type: ignore[attr-defined]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await store.transact(fail)
    assert await store.read(lambda books: books.pull("req_1")) is None
