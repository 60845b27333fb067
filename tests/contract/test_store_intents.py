"""What every store promises about intents and trace numbers."""

import asyncio

import pytest
from store_samples import AnyStore, at, intent, node, payment

from tallystick.delivery.model import IntentKind, IntentState, MessageIds
from tallystick.errors import AlreadyExists, StoreFailed, TooMany
from tallystick.runtime import Millis

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
    stores = "tallystick.adapters.store.sqlite_intents", "tallystick.adapters.store.postgres.intents"
    for module in (*stores, "tallystick.testing.memory_intents"):
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


async def test_authorisations_without_an_outcome_are_listed_oldest_first(store: AnyStore) -> None:
    for payment_id in ("pay_1", "pay_2"):
        await store.transact(lambda books, payment_id=payment_id: books.add_payment(payment(payment_id)))
    await add(store, intent("pay_2", 1), intent("pay_1", 1), intent("pay_1", 2))
    await add(store, intent("pay_1", 3, kind=IntentKind.REVERSAL, of=2, due_at=at(0)))
    await settle(store, IntentState.NOT_SENT, 2_500)

    expected = [intent("pay_2", 1), intent("pay_1", 2)]
    sent_at = intent().ids.at
    assert expected == await store.read(lambda books: books.lost_intents(sent_at, 10))
    assert expected[:1] == await store.read(lambda books: books.lost_intents(sent_at, 1))
    assert [] == await store.read(lambda books: books.lost_intents(Millis(sent_at - 1), 10))


async def test_what_a_node_sends_is_lost_once_the_node_is_gone_and_not_before(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    here, there = node("node_a"), node("node_b", lease_until=9_000)
    for each in (here, there):
        await store.transact(lambda books, each=each: books.add_node(each))
    await add(store, intent(node="node_a"), intent(n=2, node="node_b"), intent(n=3))
    assert [] == await store.read(lambda books: books.lost_intents(Millis(0), 10))
    await store.transact(lambda books: books.drop_node(there))
    assert [intent(n=2, node="node_b")] == await store.read(lambda books: books.lost_intents(Millis(0), 10))
    await settle(store, IntentState.UNKNOWN, 2_500, n=2)
    assert [] == await store.read(lambda books: books.lost_intents(Millis(0), 10))


async def test_an_intent_moves_only_from_the_state_that_is_expected(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    await add(store, intent())

    async def move(expected: IntentState, state: IntentState) -> bool:
        return await store.transact(
            lambda books: books.settle_intent("pay_1", 1, state=state, code="00", at=at(9), expected=expected)
        )

    assert [False, True, False, True, False] == [
        await move(IntentState.UNKNOWN, IntentState.APPROVED),
        await move(IntentState.SENDING, IntentState.UNKNOWN),
        await move(IntentState.SENDING, IntentState.APPROVED),
        await move(IntentState.UNKNOWN, IntentState.REVERSED),
        await move(IntentState.UNKNOWN, IntentState.APPROVED),
    ]


async def test_an_account_stays_sealed_while_the_outcome_is_open_and_no_longer(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    await add(store, intent(epoch="ep_1", account=b"sealed"), intent(n=2, epoch="ep_2", account=b"too"))
    await settle(store, IntentState.UNKNOWN, 1)
    assert frozenset({"ep_1", "ep_2"}) == await store.transact(lambda books: books.accounts_kept())
    await settle(store, IntentState.DECLINED, 2, "51", n=2)
    assert frozenset({"ep_1"}) == await store.transact(lambda books: books.accounts_kept())
    await store.transact(
        lambda books: books.settle_intent(
            "pay_1", 1, state=IntentState.REVERSED, code=None, at=at(3), expected=IntentState.UNKNOWN
        )
    )
    assert frozenset() == await store.transact(lambda books: books.accounts_kept())
    assert [None, None] == [i.account for i in await store.transact(lambda books: books.intents("pay_1"))]


async def test_inquiries_and_reversals_are_listed_when_they_are_due(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    later = intent(n=2, kind=IntentKind.INQUIRY, of=1, due_at=at(20))
    sooner = intent(n=3, kind=IntentKind.REVERSAL, of=1, due_at=at(10))
    await add(store, intent(), later, sooner)

    for now, expected in ((9, []), (10, [sooner]), (20, [sooner, later])):
        assert expected == await store.transact(lambda books, now=now: books.due_intents(at(now), 10))
    await settle(store, IntentState.DONE, 21, n=3)
    assert [later] == await store.transact(lambda books: books.due_intents(at(20), 10))


async def test_of_fifty_that_want_to_send_an_inquiry_exactly_one_wins(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    await add(store, intent(), intent(n=2, kind=IntentKind.INQUIRY, of=1, due_at=at(0)))

    async def take(n: int) -> bool:
        return await store.transact(lambda books: books.schedule_intent("pay_1", n, tried=0, tries=1, due_at=at(30)))

    assert 1 == (await asyncio.gather(*(take(2) for _ in range(50)))).count(True)
    (_, taken) = await store.transact(lambda books: books.intents("pay_1"))
    assert (1, at(30)) == (taken.tries, taken.due_at)


async def test_an_authorisation_is_never_scheduled_again(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    await add(store, intent())
    assert False is await store.transact(
        lambda books: books.schedule_intent("pay_1", 1, tried=0, tries=1, due_at=at(30))
    )


async def test_a_drain_waits_for_what_is_under_way_or_in_doubt(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    await add(store, intent(), intent(n=2), intent(n=3), intent(n=4, back_end="other"))
    await settle(store, IntentState.UNKNOWN, 1)
    await settle(store, IntentState.APPROVED, 1, "00", n=2)
    back_end = intent().back_end
    assert [2, 1, 0] == [
        await store.transact(lambda books, of=of: books.unsettled_intents(of)) for of in (back_end, "other", "none")
    ]
