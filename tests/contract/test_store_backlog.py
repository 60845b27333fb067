"""What every store promises about the counts of what waits and what ended."""

from store_samples import AnyStore, at, channel, notice, payment

from tallystick.assembly.facts import Fate, PaymentState
from tallystick.outcomes.model import Backlog, Ending, Endpoint, Outbox, Webhook, WebhookState

JOINED, MANUAL, APPROVED = PaymentState.JOINED, PaymentState.MANUAL, PaymentState.APPROVED


async def joined(store: AnyStore, *ids: str) -> None:
    for payment_id in ids:
        row = payment(payment_id, state=JOINED, fate=Fate.JOINED)
        await store.transact(lambda books, each=row: books.add_payment(each))


async def advance(store: AnyStore, payment_id: str, state: PaymentState) -> None:
    await store.transact(
        lambda books: books.advance(payment_id, expected=JOINED, state=state, at=at(2_000), back_end="12345678")
    )


async def backlog(store: AnyStore) -> Backlog:
    return await store.read(lambda books: books.backlog())


def webhook(webhook_id: str, **fields: object) -> Webhook:
    usual = {"endpoint_id": "we_1", "subject": webhook_id, "type": "payment.approved", "body": b"{}", "due_at": 9_000}
    return Webhook(**{"id": webhook_id, "seq": 1, "first_at": 1_000, **usual, **fields})  # type: ignore[arg-type]


async def test_an_empty_store_has_no_backlog(store: AnyStore) -> None:
    empty = Outbox(0, None)
    assert Backlog(payments={}, notices=empty, urgent_notices=empty, webhooks=empty, dead_webhooks=0) == await backlog(
        store
    )


async def test_payments_that_are_joined_and_not_final_wait(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_payment(payment("pay_open")))
    await joined(store, "pay_1", "pay_2", "pay_3", "pay_4")
    await advance(store, "pay_3", MANUAL)
    await advance(store, "pay_4", APPROVED)
    assert {JOINED: 2, MANUAL: 1} == (await backlog(store)).payments


async def test_the_outbox_says_how_many_messages_wait_and_since_when(store: AnyStore) -> None:
    for name, created_at, urgent in (("nt_1", 3_000, True), ("nt_2", 2_000, False), ("nt_3", 4_000, True)):
        row = notice(name, created_at=created_at, due_at=9_000, urgent=urgent)
        await store.transact(lambda books, each=row: books.add_notice(each))
    await store.transact(lambda books: books.add_channel(channel()))
    endpoint = Endpoint(id="we_1", channel_id="ch_pc", url="https://shop.example", sealed=b"s", created_at=at(1))
    await store.transact(lambda books: books.put_endpoint(endpoint))
    dead = {"state": WebhookState.DEAD, "first_at": 5}
    for hook in (webhook("evt_1"), webhook("evt_2", first_at=700), webhook("evt_3", **dead)):
        await store.transact(lambda books, each=hook: books.add_webhook(each))
    found = await backlog(store)
    assert (Outbox(3, at(2_000)), Outbox(2, at(3_000))) == (found.notices, found.urgent_notices)
    assert (Outbox(2, at(700)), 1) == (found.webhooks, found.dead_webhooks)


async def test_what_ended_comes_in_order_with_its_back_end(store: AnyStore) -> None:
    await joined(store, "pay_1", "pay_2")
    await advance(store, "pay_2", MANUAL)
    await advance(store, "pay_1", APPROVED)
    first, second = Ending(1, MANUAL, "12345678"), Ending(2, APPROVED, "12345678")
    assert [first, second] == await store.read(lambda books: books.endings_after(0, 10))
    assert [first] == await store.read(lambda books: books.endings_after(0, 1))
    assert [second] == await store.read(lambda books: books.endings_after(1, 10))
