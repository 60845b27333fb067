"""What every store promises about attachments, lists of an owner's payments, receipts and refunds."""

import pytest
from store_samples import ORDER, AnyStore, at, part, payment

from tallystick.assembly.facts import FINAL_STATES, Fate, PaymentState
from tallystick.assembly.model import Attachment, Payment, Receipt, Refund, Wanted
from tallystick.outcomes.model import WAITING_STATES

OWNER, OTHER = "merchant:live:bookshop", "merchant:test:bookshop"


async def fill(store: AnyStore, *payments: Payment) -> None:
    for each in payments:
        await store.transact(lambda books, each=each: books.add_payment(each))


async def listed(store: AnyStore, limit: int = 10, **wanted: object) -> list[str]:
    asked = Wanted(**{"owner": OWNER, **wanted})  # type: ignore[arg-type]  # a test names the right kinds
    found = await store.read(lambda books: books.payments_of(asked, limit))
    return [each.payment.id for each in found]


async def test_an_attachment_comes_back_as_it_was_written(store: AnyStore) -> None:
    await fill(store, payment("pay_1", owner=OWNER), payment("pay_2", owner=OWNER))
    full = Attachment(payment_id="pay_1", metadata={"b": "2", "a": "1"}, return_url="https://shop.example/")
    await store.transact(lambda books: books.attach(full))
    await store.transact(lambda books: books.attach(Attachment(payment_id="pay_2")))
    assert full == await store.read(lambda books: books.attachment("pay_1"))
    assert Attachment(payment_id="pay_2") == await store.read(lambda books: books.attachment("pay_2"))
    assert await store.read(lambda books: books.attachment("pay_3")) is None


async def test_an_owner_lists_its_own_payments_newest_first_page_by_page(store: AnyStore) -> None:
    mine = [payment(f"pay_{n}", owner=OWNER, opened_at=n * 1_000, order=ORDER) for n in range(1, 5)]
    await fill(store, *mine[:2], payment("pay_x", owner=OTHER), payment("pay_y"), *mine[2:])
    await store.transact(lambda books: books.decide_fate("pay_2", Fate.CANCELLED, at(9_000)))
    assert ["pay_4", "pay_3", "pay_2", "pay_1"] == await listed(store)
    first = await store.read(lambda books: books.payments_of(Wanted(owner=OWNER), 2))
    assert ["pay_4", "pay_3"] == [each.payment.id for each in first]
    assert mine[3] == first[0].payment
    assert ["pay_2", "pay_1"] == await listed(store, before=first[-1].seq)
    assert ["pay_2"] == await listed(store, state=PaymentState.CANCELLED)
    assert ["pay_3", "pay_2"] == await listed(store, since=at(2_000), until=at(4_000))
    assert ["pay_2"] == await listed(store, before=first[-1].seq, since=at(2_000), until=at(4_000))


async def test_payments_opened_at_other_times_than_they_were_added_are_each_on_one_page(store: AnyStore) -> None:
    await fill(store, *(payment(f"pay_{n}", owner=OWNER, opened_at=at) for n, at in enumerate((3, 1, 2, 3, 2))))
    pages, before = [], None
    while found := await store.read(lambda books: books.payments_of(Wanted(owner=OWNER, before=before), 2)):  # noqa: B023
        pages.append([each.payment.id for each in found])
        before = found[-1].seq
    assert [["pay_3", "pay_0"], ["pay_4", "pay_2"], ["pay_1"]] == pages


@pytest.mark.parametrize("state", PaymentState)
async def test_payments_of_each_state_are_found_by_it(store: AnyStore, state: PaymentState) -> None:
    ended = state in FINAL_STATES | WAITING_STATES
    fate = Fate(state.value) if state in set(Fate) else Fate.JOINED if ended else None
    await fill(
        store,
        payment("pay_1", owner=OWNER, state=state, fate=fate),
        payment("pay_2", owner=OTHER, state=state, fate=fate),
        *(payment(f"pay_{other}", owner=OWNER, state=other, fate=Fate.JOINED) for other in FINAL_STATES - {state}),
    )
    assert ["pay_1"] == await listed(store, state=state)


async def test_the_events_of_an_owner_are_those_of_its_payments_in_order(store: AnyStore) -> None:
    await fill(store, payment("pay_1", owner=OWNER), payment("pay_x", owner=OTHER), payment("pay_2", owner=OWNER))
    for payment_id in ("pay_2", "pay_x", "pay_1"):
        await store.transact(lambda books, it=payment_id: books.decide_fate(it, Fate.EXPIRED, at(9_000)))
    events = await store.read(lambda books: books.events_of(OWNER, 0, 10))  # type: ignore[attr-defined]
    assert ["pay_2", "pay_1"] == [event.payment_id for event in events]
    later = await store.read(lambda books: books.events_of(OWNER, events[0].seq, 10))  # type: ignore[attr-defined]
    assert events[1:] == later


async def test_the_end_of_a_waiting_payment_only_ever_comes_nearer(store: AnyStore) -> None:
    await fill(store, payment("pay_1", expires_at=5_000))

    async def hasten(end: int) -> bool:
        return await store.transact(lambda books: books.hasten("pay_1", at(end)))

    assert [False, True, False] == [await hasten(6_000), await hasten(3_000), await hasten(3_000)]
    await store.transact(lambda books: books.decide_fate("pay_1", Fate.EXPIRED, at(4_000)))
    assert not await hasten(1_000)


async def test_receipts_and_refunds_are_listed_in_order(store: AnyStore) -> None:
    await fill(store, payment("pay_1", owner=OWNER), payment("pay_2", owner=OWNER))
    receipts = [Receipt(part_id=f"part_{n}", payment_id="pay_1", token=f"a.b.{n}") for n in (2, 1)]
    for receipt in receipts:
        await store.transact(lambda books, it=receipt: books.add_part(part(it.part_id)))
        await store.transact(lambda books, it=receipt: books.add_receipt(it))
    usual = {"payment_id": "pay_1", "part_id": "part_1", "receipt": "ab", "reason": "broken", "at": at(9)}
    refunds = [Refund(id=f"rfd_{n}", amount=n, **usual) for n in (2, 1)]  # type: ignore[arg-type]
    for refund in refunds:
        await store.transact(lambda books, it=refund: books.add_refund(it))
    assert receipts == await store.read(lambda books: books.receipts("pay_1"))
    assert refunds == await store.read(lambda books: books.refunds("pay_1"))
    assert [] == await store.read(lambda books: books.refunds("pay_2"))
