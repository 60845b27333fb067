"""What every store promises about the log of events, webhook endpoints and webhooks."""

from typing import Any

import pytest
from store_samples import AnyStore, at, channel, payment

from tallystick.assembly.facts import TOLD_STATES, Fate, PaymentState
from tallystick.errors import StoreFailed
from tallystick.outcomes.model import Endpoint, EndpointState, Event, Webhook, WebhookState

JOINED, DELIVERING = PaymentState.JOINED, PaymentState.DELIVERING
UNKNOWN, INQUIRY, APPROVED = PaymentState.UNKNOWN, PaymentState.INQUIRY, PaymentState.APPROVED


class OwnError(Exception):
    """An error of the work's own."""


def endpoint(endpoint_id: str = "we_1", **fields: Any) -> Endpoint:
    usual = {"channel_id": "ch_pc", "url": "https://shop.example/hook", "sealed": b"secrets", "created_at": 1_000}
    return Endpoint(**{"id": endpoint_id, **usual} | fields)


def webhook(webhook_id: str = "evt_1", **fields: Any) -> Webhook:
    usual = {"seq": 1, "endpoint_id": "we_1", "subject": "pay_1", "type": "payment.approved", "body": b"{}"}
    return Webhook(**{"id": webhook_id, "first_at": 1_000, "due_at": 1_000, **usual} | fields)


async def events(store: AnyStore, after: int = 0, limit: int = 100) -> list[Event]:
    return await store.read(lambda books: books.events_after(after, limit))


async def told(store: AnyStore) -> list[tuple[str, PaymentState, int, bool]]:
    return [(event.payment_id, event.state, event.at, event.first) for event in await events(store)]


async def advance(store: AnyStore, was: PaymentState, state: PaymentState, ms: int) -> bool:
    return await store.transact(lambda books: books.advance("pay_1", expected=was, state=state, at=at(ms)))


async def joined(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment(state=JOINED, fate=Fate.JOINED)))


async def due(store: AnyStore, ms: int, each: int = 10) -> list[str]:
    return [found.id for found in await store.read(lambda books: books.due_webhooks(at(ms), each))]


async def furnish(store: AnyStore, *rows: Webhook) -> None:
    await store.transact(lambda books: books.add_channel(channel()))
    for endpoint_id in ("we_1", "we_2"):
        await store.transact(lambda books, each=endpoint_id: books.put_endpoint(endpoint(each)))
    for row in rows:
        assert await store.transact(lambda books, each=row: books.add_webhook(each))


# Events


@pytest.mark.parametrize("state", [state for state in PaymentState if state is not DELIVERING])
async def test_a_move_is_logged_exactly_when_the_new_state_is_one_that_is_told(
    store: AnyStore, state: PaymentState
) -> None:
    await joined(store)
    await advance(store, JOINED, DELIVERING, 2_000)
    assert await advance(store, DELIVERING, state, 3_000)
    assert ([("pay_1", state, 3_000, True)] if state in TOLD_STATES else []) == await told(store)


@pytest.mark.parametrize("fate", list(Fate))
async def test_a_fate_is_logged_exactly_when_it_ends_the_payment_and_only_by_its_winner(
    store: AnyStore, fate: Fate
) -> None:
    await store.transact(lambda books: books.add_payment(payment()))
    for ms in (2_000, 3_000):
        await store.transact(lambda books, when=ms: books.decide_fate("pay_1", fate, at(when)))
    ends = fate is not Fate.JOINED
    assert ([("pay_1", PaymentState(fate.value), 2_000, True)] if ends else []) == await told(store)


async def test_a_lost_move_and_a_note_in_the_same_state_are_not_logged(store: AnyStore) -> None:
    await joined(store)
    assert not await advance(store, DELIVERING, APPROVED, 2_000)
    await advance(store, JOINED, UNKNOWN, 3_000)
    assert await advance(store, UNKNOWN, UNKNOWN, 4_000)
    assert [("pay_1", UNKNOWN, 3_000, True)] == await told(store)


async def test_only_the_first_told_state_of_a_payment_is_called_the_first(store: AnyStore) -> None:
    await joined(store)
    for was, state in ((JOINED, UNKNOWN), (UNKNOWN, INQUIRY), (INQUIRY, APPROVED)):
        await advance(store, was, state, 2_000)
    assert [(UNKNOWN, True), (INQUIRY, False), (APPROVED, False)] == [
        (event.state, event.first) for event in await events(store)
    ]


async def test_a_move_that_is_undone_leaves_no_event(store: AnyStore) -> None:
    await joined(store)

    async def fail(books: Any) -> None:
        await books.advance("pay_1", expected=JOINED, state=APPROVED, at=at(2_000))
        raise OwnError

    with pytest.raises(OwnError):
        await store.transact(fail)
    assert [] == await told(store)


async def test_events_are_read_in_order_behind_a_mark(store: AnyStore) -> None:
    await joined(store)
    for was, state in ((JOINED, UNKNOWN), (UNKNOWN, INQUIRY), (INQUIRY, APPROVED)):
        await advance(store, was, state, 2_000)
    first, second, third = await events(store)
    assert first.seq < second.seq < third.seq
    assert [second] == await events(store, after=first.seq, limit=1)
    assert [] == await events(store, after=third.seq)


async def test_the_mark_of_what_was_announced_begins_at_nothing_and_moves(store: AnyStore) -> None:
    assert await store.read(lambda books: books.announced()) == 0
    await store.transact(lambda books: books.note_announced(7))
    assert await store.read(lambda books: books.announced()) == 7


async def test_a_purge_deletes_old_announced_events_but_never_the_last_so_that_no_number_comes_twice(
    store: AnyStore,
) -> None:
    await joined(store)
    for was, state, ms in ((JOINED, UNKNOWN, 2_000), (UNKNOWN, INQUIRY, 3_000), (INQUIRY, APPROVED, 4_000)):
        await advance(store, was, state, ms)
    first, second, third = await events(store)

    async def purge(before: int, limit: int = 10) -> int:
        return await store.transact(lambda books: books.purge_events(at(before), limit))

    assert await purge(9_000) == 0
    await store.transact(lambda books: books.note_announced(third.seq))
    assert await purge(2_000) == 0
    assert await purge(9_000, limit=1) == 1
    assert [second, third] == await events(store)
    assert await purge(9_000) == 1
    assert await purge(9_000) == 0
    assert [third] == await events(store)
    await store.transact(lambda books: books.add_payment(payment("pay_2")))
    await store.transact(lambda books: books.decide_fate("pay_2", Fate.EXPIRED, at(5_000)))
    assert (await events(store))[-1].seq > third.seq > first.seq


# Endpoints


async def test_an_endpoint_comes_back_whole_and_is_replaced_by_id(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_channel(channel()))
    changed = endpoint(url="https://b.example/", sealed=b"new", state=EndpointState.DISABLED, reason="410")
    for row in (endpoint(), endpoint("we_0"), changed):
        await store.transact(lambda books, each=row: books.put_endpoint(each))
    assert [changed, endpoint("we_0")] == await store.read(lambda books: books.endpoints())
    assert changed == await store.read(lambda books: books.endpoint("we_1"))
    assert await store.read(lambda books: books.endpoint("we_2")) is None


# Webhooks


async def test_a_webhook_comes_back_whole(store: AnyStore) -> None:
    full = webhook(tries=3, state=WebhookState.DEAD, last="500", body=b"\x00\xff", due_at=9_000)
    await furnish(store, full)
    assert full == await store.read(lambda books: books.webhook("evt_1"))
    assert await store.read(lambda books: books.webhook("evt_2")) is None


async def test_an_event_is_told_to_an_endpoint_about_a_subject_once(store: AnyStore) -> None:
    await furnish(store, webhook(), webhook("evt_2", endpoint_id="we_2"), webhook("evt_3", subject="part_1"))
    await furnish_one_more(store, webhook("evt_4", seq=2))
    assert not await store.transact(lambda books: books.add_webhook(webhook("evt_5")))


async def furnish_one_more(store: AnyStore, row: Webhook) -> None:
    assert await store.transact(lambda books: books.add_webhook(row))


async def test_a_webhook_to_no_endpoint_is_refused(store: AnyStore) -> None:
    with pytest.raises(StoreFailed):
        await store.transact(lambda books: books.add_webhook(webhook(endpoint_id="we_none")))


async def test_waiting_webhooks_are_due_at_their_time_the_longest_first_and_some_of_each_endpoint(
    store: AnyStore,
) -> None:
    await furnish(
        store,
        webhook("evt_1", due_at=3_000),
        webhook("evt_2", seq=2, due_at=1_000),
        webhook("evt_3", seq=3, due_at=2_000),
        webhook("evt_4", seq=4, endpoint_id="we_2", due_at=2_500),
        webhook("evt_5", seq=5, due_at=1_000, state=WebhookState.DEAD),
    )
    assert [] == await due(store, 999)
    assert ["evt_2"] == await due(store, 1_000)
    assert ["evt_2", "evt_3", "evt_4", "evt_1"] == await due(store, 3_000)
    assert ["evt_2", "evt_4"] == await due(store, 3_000, each=1)


async def test_one_caller_wins_a_change_and_the_others_change_nothing(store: AnyStore) -> None:
    await furnish(store, webhook())
    leased = webhook(due_at=60_000)
    failed = webhook(due_at=90_000, first_at=2_000, tries=1, last="500", state=WebhookState.DEAD)

    async def change(was: Webhook, changed: Webhook) -> bool:
        return await store.transact(lambda books: books.change_webhook(was, changed))

    assert await change(webhook(), leased)
    assert not await change(webhook(), leased)
    assert [] == await due(store, 59_999)
    assert await change(leased, failed)
    assert not await change(leased, failed)
    assert failed == await store.read(lambda books: books.webhook("evt_1"))


async def test_a_webhook_that_arrived_is_gone_whatever_state_it_had(store: AnyStore) -> None:
    await furnish(store, webhook(state=WebhookState.DEAD))
    for _ in range(2):
        await store.transact(lambda books: books.drop_webhook("evt_1"))
    assert await store.read(lambda books: books.webhook("evt_1")) is None


async def test_burying_touches_what_waits_for_one_endpoint(store: AnyStore) -> None:
    dead = webhook("evt_2", seq=2, state=WebhookState.DEAD, last="500")
    await furnish(store, webhook(), dead, webhook("evt_3", endpoint_id="we_2"))
    assert await store.transact(lambda books: books.bury_webhooks("we_1", "disabled")) == 1
    buried = webhook(state=WebhookState.DEAD, last="disabled")
    assert [dead, buried] == await store.read(lambda books: books.dead_webhooks(10))
    assert [dead] == await store.read(lambda books: books.dead_webhooks(1))
    assert ["evt_3"] == await due(store, 9_000)


async def test_a_purge_deletes_dead_webhooks_of_old_times_only(store: AnyStore) -> None:
    await furnish(
        store,
        webhook("evt_1"),
        webhook("evt_2", seq=2, state=WebhookState.DEAD),
        webhook("evt_3", seq=3, state=WebhookState.DEAD),
        webhook("evt_4", seq=4, state=WebhookState.DEAD, first_at=2_000),
    )

    async def purge(limit: int) -> int:
        return await store.transact(lambda books: books.purge_webhooks(at(2_000), limit))

    assert [await purge(1), await purge(9), await purge(9)] == [1, 1, 0]
    assert ["evt_4"] == [each.id for each in await store.read(lambda books: books.dead_webhooks(9))]
    assert ["evt_1"] == await due(store, 9_000)
