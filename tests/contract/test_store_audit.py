"""What every store promises about the audit chain: no change without an entry, and none is ever lost or doubled."""

import asyncio
from typing import Any

import pytest
from store_samples import AnyStore, Work, at, channel, intent, part, payment, user

from tallystick.assembly.facts import Fate, PaymentState
from tallystick.audit.acting import acting
from tallystick.audit.chain import chained, read
from tallystick.audit.model import START, Action, Checkpoint, Entry
from tallystick.audit.rules import WRITES
from tallystick.channels.model import ChannelState
from tallystick.delivery.books import Books
from tallystick.delivery.model import IntentKind, IntentState
from tallystick.errors import AlreadyExists, Misconfigured


class OwnError(Exception):
    """An error of the work's own."""


async def entries(store: AnyStore) -> list[Entry]:
    """Read the chain, checking each link."""
    links = await store.read(lambda books: books.audit_links(0, 1_000))
    before, found = START.hash, []
    for seq, link in enumerate(links, 1):
        entry = read(link.body)
        assert (seq, seq, chained(before, link.body)) == (link.seq, entry.seq, link.hash)
        before = link.hash
        found.append(entry)
    head = await store.read(lambda books: books.audit_head())
    assert (len(found), before) == (head.seq, head.hash)
    return found


async def told(store: AnyStore, work: Work, *, actor: str = "system") -> list[tuple[str, str, tuple[str, ...]]]:
    """Do a work and return action, outcome and subjects of each entry that it left."""
    before = len(await entries(store))
    with acting(actor):
        await store.transact(work)
    return [(entry.action, entry.outcome, entry.subjects) for entry in (await entries(store))[before:]]


async def test_an_entry_says_who_did_what_to_whom(store: AnyStore) -> None:
    assert [("channel.added", "done", ("ch_pc",))] == await told(
        store, lambda books: books.add_channel(channel()), actor="operator:alice"
    )
    changed = channel(state=ChannelState.SUSPENDED)
    assert [("channel.changed", "suspended", ("ch_pc",))] == await told(
        store, lambda books: books.replace_channel(changed), actor="operator:bob"
    )
    assert ["operator:alice", "operator:bob"] == [entry.actor for entry in await entries(store)]


async def test_a_part_and_a_join_are_one_entry_and_so_is_a_send_and_its_outcome(store: AnyStore) -> None:
    async def file(books: Books) -> None:
        await books.add_payment(payment())
        await books.note_part("pay_1", order=None, contested=False, expires_at=at(9))
        await books.add_part(part())
        await books.mark_rivals("pay_1", frozenset())
        await books.decide_fate("pay_1", Fate.JOINED, at(2))
        await books.remember_nonce("ch_pc", "nonce", at(9))

    async def intend(books: Books) -> None:
        await books.advance("pay_1", expected=PaymentState.JOINED, state=PaymentState.DELIVERING, at=at(3))
        await books.next_stan("12345678", "2026010100")
        await books.add_intent(intent())

    async def settle(books: Books) -> None:
        await books.settle_intent("pay_1", 1, state=IntentState.APPROVED, code="00", at=at(4))
        await books.advance("pay_1", expected=PaymentState.DELIVERING, state=PaymentState.APPROVED, at=at(4))
        await books.erase_parts("pay_1")

    assert [("part.accepted", "done", ("pay_1", "part_1", "ch_pc"))] == await told(store, file)
    assert [("delivery.sent", "done", ("pay_1", "12345678"))] == await told(store, intend)
    assert [("delivery.settled", "approved", ("pay_1",))] == await told(store, settle)
    assert [
        {"with": ("payment.opened", "payment.joined")},
        {"n": 1, "kind": "authorisation", "stan": "000001", "table": 3},
        {"n": 1, "code": "00", "with": ("payment.moved=approved", "parts.erased")},
    ] == [entry.details for entry in await entries(store)]


async def test_each_send_of_an_inquiry_has_its_entry_and_a_new_time_for_it_has_none(store: AnyStore) -> None:
    async def plan(books: Books) -> None:
        await books.add_payment(payment())
        await books.add_intent(intent(kind=IntentKind.INQUIRY, of=1, due_at=at(5)))

    assert [("delivery.planned", "done", ("pay_1", "12345678"))] == await told(store, plan)
    for tried in range(2):
        sent: Work = lambda books, n=tried: books.schedule_intent("pay_1", 1, tried=n, tries=n + 1, due_at=at(7))  # noqa: E731
        assert [("delivery.sent", "done", ("pay_1",))] == await told(store, sent)
    assert [] == await told(store, lambda books: books.schedule_intent("pay_1", 1, tried=2, tries=2, due_at=at(9)))


async def test_a_work_on_several_payments_leaves_an_entry_for_each(store: AnyStore) -> None:
    async def add(books: Books) -> None:
        for payment_id in ("pay_1", "pay_2"):
            await books.add_payment(payment(payment_id))

    async def expire(books: Books) -> None:
        for payment_id in ("pay_1", "pay_2"):
            await books.decide_fate(payment_id, Fate.EXPIRED, at(9))
            await books.erase_parts(payment_id)

    await store.transact(add)
    assert [("payment.expired", "done", ("pay_1",)), ("payment.expired", "done", ("pay_2",))] == await told(
        store, expire
    )


async def test_what_changed_nothing_leaves_no_entry(store: AnyStore) -> None:
    assert [] == await told(store, lambda books: books.decide_fate("pay_none", Fate.EXPIRED, at(9)))
    assert [] == await told(store, lambda books: books.erase_parts("pay_none"))
    assert [] == await told(store, lambda books: books.clear_tries("usr_none"))
    assert [] == await told(store, lambda books: books.channels())


async def test_bookkeeping_leaves_no_entry(store: AnyStore) -> None:
    assert [] == await told(store, lambda books: books.remember_nonce("ch_pc", "nonce", at(1)))
    assert [] == await told(store, lambda books: books.purge_replay(at(9), 10))
    assert [] == await told(store, lambda books: books.note_poll("12345678", at(9)))


async def test_a_work_that_is_undone_leaves_no_entry_and_the_one_beside_it_does(store: AnyStore) -> None:
    async def fail(books: Books) -> None:
        await books.add_user(user("usr_bad"))
        raise OwnError

    works = [store.transact(lambda books: books.add_user(user("usr_1"))), store.transact(fail)]
    works += [store.transact(lambda books: books.add_user(user("usr_2")))]
    await asyncio.gather(*works, return_exceptions=True)

    assert [("usr_1",), ("usr_2",)] == sorted(entry.subjects for entry in await entries(store))


async def test_works_that_share_a_commit_keep_their_own_actors(store: AnyStore) -> None:
    async def add(number: int) -> None:
        with acting(f"operator:{number}"):
            await store.transact(lambda books: books.add_user(user(f"usr_{number}")))

    await asyncio.gather(*(add(number) for number in range(20)))

    assert {f"operator:{n}": (f"usr_{n}",) for n in range(20)} == {e.actor: e.subjects for e in await entries(store)}


async def test_a_change_that_no_rule_explains_is_refused_and_undone(store: AnyStore) -> None:
    async def planted(books: Any) -> None:
        await books.remember_nonce("ch_pc", "nonce", at(1))
        await type(books).add_channel.__wrapped__(books, channel())

    with pytest.raises(Misconfigured, match="without an audit rule"):
        await store.transact(planted)

    assert await store.read(lambda books: books.channels()) == []
    assert [] == await entries(store)
    assert [] == await told(store, lambda books: books.remember_nonce("ch_pc", "nonce", at(1)))


async def test_what_is_no_change_of_the_store_is_appended_and_durable_alike(store: AnyStore) -> None:
    work: Work = lambda books: books.append(Action.PAYMENT_MOVED, "pay_1", outcome="looked at", rows=3)  # noqa: E731

    assert [("payment.moved", "looked at", ("pay_1",))] == await told(store, work, actor="operator:alice")
    assert {"rows": 3} == (await entries(store))[0].details


async def test_a_work_that_was_to_read_only_appends_nothing(store: AnyStore) -> None:
    with pytest.raises(Misconfigured):
        await store.read(lambda books: books.append(Action.PAYMENT_MOVED, "pay_1"))

    assert [] == await entries(store)


async def test_links_are_found_by_an_id_they_name_newest_first(store: AnyStore) -> None:
    for payment_id in ("pay_1", "pay_10", "pay_2"):
        await store.transact(lambda books, each=payment_id: books.add_payment(payment(each)))
    await store.transact(lambda books: books.decide_fate("pay_1", Fate.CANCELLED, at(9)))

    found = await store.read(lambda books: books.audit_links_about("pay_1", 10))
    assert ["payment.cancelled", "payment.opened"] == [read(link.body).action for link in found]
    assert 1 == len(await store.read(lambda books: books.audit_links_about("pay_1", 1)))
    assert [] == await store.read(lambda books: books.audit_links_about("pay_", 1))


async def test_checkpoints_stay_and_come_in_order(store: AnyStore) -> None:
    made = [Checkpoint(seq=seq, hash=bytes([seq]) * 32, at=at(seq), signature=b"signed") for seq in (7, 9)]
    for each in made:
        await store.transact(lambda books, one=each: books.add_checkpoint(one))

    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_checkpoint(made[0]))
    assert made == await store.read(lambda books: books.checkpoints(0, 10))
    assert made[1:] == await store.read(lambda books: books.checkpoints(7, 10))


async def test_every_rule_names_a_method_of_the_books(store: AnyStore) -> None:
    async def work(books: Books) -> list[str]:
        return [name for name in WRITES if not callable(getattr(books, name, None))]

    assert [] == await store.read(work)
