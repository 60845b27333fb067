"""What every store promises about payments and parts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from store_samples import ORDER, AnyStore, at, element, part, payment

from tallystick.assembly.facts import ElementKind, Fate, PaymentState
from tallystick.assembly.model import PartFacts, Payment
from tallystick.audit.ledger import audited
from tallystick.delivery.books import Books
from tallystick.errors import AlreadyExists, AlreadyFinal
from tallystick.runtime import Millis
from tallystick.testing.memory_store import MemoryBooks, MemoryStore


def facts(part_id: str, **fields: Any) -> PartFacts:
    whole = part(part_id, **fields)
    return PartFacts(**{name: getattr(whole, name) for name in PartFacts.__struct_fields__})


async def found(store: AnyStore, payment_id: str) -> Payment:
    row = await store.transact(lambda books: books.payment(payment_id))
    assert row is not None
    return row


async def add(store: AnyStore, *payments: Payment) -> None:
    for row in payments:
        await store.transact(lambda books, row=row: books.add_payment(row))


async def test_a_payment_comes_back_with_every_field(store: AnyStore) -> None:
    full = payment(
        "pay_full",
        element=element(b"\x00\xff", ElementKind.INSTITUTION, "12345678"),
        claimed=False,
        state=PaymentState.HALF,
        contested=True,
        owner="ch_merchant",
        user_id="usr_1",
        order=ORDER,
        allowed=("87654321", "12345678"),
        back_end="12345678",
        response_code="00",
        reason="because",
        order_mac=b"\x01\x00",
    )
    ended = payment("pay_ended", fate=Fate.EXPIRED, state=PaymentState.EXPIRED)
    await add(store, full, payment("pay_bare"), ended)

    assert await found(store, "pay_full") == full
    assert await found(store, "pay_bare") == payment("pay_bare")
    assert await found(store, "pay_ended") == ended
    assert await store.transact(lambda books: books.payment("pay_none")) is None


async def test_one_payment_without_a_fate_waits_under_an_element_and_policy(store: AnyStore) -> None:
    await add(store, payment("pay_1", element=element(b"same")))

    with pytest.raises(AlreadyExists):
        await add(store, payment("pay_2", element=element(b"same")))
    await add(store, payment("pay_3", element=element(b"same"), policy="login"))
    waiting = await store.transact(lambda books: books.open_payment(element(b"same"), "card"))
    assert waiting == payment("pay_1", element=element(b"same"))
    assert await store.transact(lambda books: books.open_payment(element(b"other"), "card")) is None


async def test_a_payment_id_is_never_used_twice(store: AnyStore) -> None:
    await add(store, payment("pay_1", element=element(b"one")))

    with pytest.raises(AlreadyExists):
        await add(store, payment("pay_1", element=element(b"two")))


async def test_an_element_is_free_again_once_its_payment_has_a_fate(store: AnyStore) -> None:
    await add(store, payment("pay_1", element=element(b"same")))
    await store.transact(lambda books: books.decide_fate("pay_1", Fate.EXPIRED, at(6_000)))

    assert await store.transact(lambda books: books.open_payment(element(b"same"), "card")) is None
    await add(store, payment("pay_2", element=element(b"same")))
    waiting = await store.transact(lambda books: books.open_payment(element(b"same"), "card"))
    assert waiting == payment("pay_2", element=element(b"same"))


async def test_a_noted_part_moves_the_payment_to_half_with_order_contest_and_expiry(store: AnyStore) -> None:
    await add(store, payment())
    note = {"order": ORDER, "contested": True, "expires_at": at(4_000)}
    await store.transact(lambda books: books.note_part("pay_1", **note))
    await store.transact(lambda books: books.note_part("pay_1", **note))

    expected = payment(state=PaymentState.HALF, order=ORDER, contested=True, expires_at=4_000)
    assert expected == await found(store, "pay_1")


@pytest.mark.parametrize("payment_id", ["pay_1", "pay_none"])
async def test_a_part_is_not_noted_on_a_payment_that_has_a_fate_or_does_not_exist(
    store: AnyStore, payment_id: str
) -> None:
    await add(store, payment())
    await store.transact(lambda books: books.decide_fate("pay_1", Fate.CANCELLED, at(2_000)))

    with pytest.raises(AlreadyFinal):
        await store.transact(
            lambda books: books.note_part(payment_id, order=None, contested=False, expires_at=at(4_000))
        )
    assert (await found(store, "pay_1")).state is PaymentState.CANCELLED


@pytest.mark.parametrize("fate", list(Fate))
async def test_a_fate_is_written_once_with_its_state_and_time(store: AnyStore, fate: Fate) -> None:
    await add(store, payment())

    assert await store.transact(lambda books: books.decide_fate("pay_1", fate, at(2_000))) is True
    assert await store.transact(lambda books: books.decide_fate("pay_1", Fate.JOINED, at(3_000))) is False
    assert await found(store, "pay_1") == payment(fate=fate, state=PaymentState(fate.value), updated_at=2_000)
    assert await store.transact(lambda books: books.decide_fate("pay_none", fate, at(2_000))) is False


async def one_fate_of_fifty(store: AnyStore) -> None:
    """Let fifty callers decide at once; exactly one wins."""
    await add(store, payment())
    fates = list(Fate)

    def decide(i: int) -> Callable[[Books], Awaitable[bool]]:
        return lambda books: books.decide_fate("pay_1", fates[i % 3], at(i))

    outcomes = await asyncio.gather(*(store.transact(decide(i)) for i in range(50)))
    assert outcomes.count(True) == 1
    winner = outcomes.index(True)
    assert (await found(store, "pay_1")).fate is fates[winner % 3]


async def test_of_fifty_that_decide_at_once_exactly_one_wins(store: AnyStore) -> None:
    await one_fate_of_fifty(store)


async def test_the_contract_catches_a_store_that_forgets_the_guard_of_the_fate() -> None:
    @audited
    class Forgetful(MemoryBooks):
        async def decide_fate(self, payment_id: str, fate: Fate, at: Millis) -> bool:
            row = self._payments.get(payment_id)
            assert row is not None
            self._payments.put(payment_id, payment(payment_id, fate=fate))
            return True

    store = MemoryStore()
    store._books = Forgetful(store._journal)

    with pytest.raises(AssertionError):
        await one_fate_of_fifty(store)


async def test_a_joined_payment_advances_from_the_expected_state_only_and_overwrites_the_texts(store: AnyStore) -> None:
    joined, delivering, approved = PaymentState.JOINED, PaymentState.DELIVERING, PaymentState.APPROVED
    await add(store, payment())

    async def move(expected: PaymentState, state: PaymentState, ms: int, **texts: str) -> bool:
        return await store.transact(
            lambda books: books.advance("pay_1", expected=expected, state=state, at=at(ms), **texts)
        )

    assert await move(PaymentState.OPEN, delivering, 1_500) is False
    await store.transact(lambda books: books.decide_fate("pay_1", Fate.JOINED, at(2_000)))
    assert await move(joined, delivering, 2_100, back_end="12345678", reason="first try") is True
    assert await move(joined, delivering, 2_200, back_end="87654321") is False
    moved = payment(fate=Fate.JOINED, state=delivering, back_end="12345678", reason="first try", updated_at=2_100)
    assert moved == await found(store, "pay_1")
    assert await move(delivering, approved, 2_300, back_end="12345678", response_code="00") is True
    final = payment(fate=Fate.JOINED, state=approved, back_end="12345678", response_code="00", updated_at=2_300)
    assert final == await found(store, "pay_1")


async def test_a_payment_that_was_not_joined_never_advances(store: AnyStore) -> None:
    await add(store, payment())
    await store.transact(lambda books: books.decide_fate("pay_1", Fate.CANCELLED, at(2_000)))

    moved = await store.transact(
        lambda books: books.advance(
            "pay_1", expected=PaymentState.CANCELLED, state=PaymentState.DELIVERING, at=at(2_100)
        )
    )
    assert moved is False


async def test_of_fifty_that_advance_at_once_exactly_one_wins(store: AnyStore) -> None:
    await add(store, payment())
    await store.transact(lambda books: books.decide_fate("pay_1", Fate.JOINED, at(2_000)))

    def send(books: Books) -> Awaitable[bool]:
        return books.advance("pay_1", expected=PaymentState.JOINED, state=PaymentState.DELIVERING, at=at(2_100))

    outcomes = await asyncio.gather(*(store.transact(send) for _ in range(50)))
    assert outcomes.count(True) == 1


async def test_expired_payments_are_those_without_a_fate_whose_time_is_over_longest_first(store: AnyStore) -> None:
    await add(store, payment("pay_b", expires_at=3_000), payment("pay_a", expires_at=2_000))
    await add(store, payment("pay_late", expires_at=3_001), payment("pay_done", expires_at=1_000))
    await store.transact(lambda books: books.decide_fate("pay_done", Fate.CANCELLED, at(500)))

    assert await store.transact(lambda books: books.expired_payments(at(3_000), 10)) == ["pay_a", "pay_b"]
    assert await store.transact(lambda books: books.expired_payments(at(3_000), 1)) == ["pay_a"]
    await store.transact(lambda books: books.note_part("pay_a", order=None, contested=False, expires_at=at(9_000)))
    assert await store.transact(lambda books: books.expired_payments(at(3_000), 10)) == ["pay_b"]


@pytest.mark.parametrize("state", list(PaymentState))
async def test_payments_are_listed_by_state_longest_unchanged_first(store: AnyStore, state: PaymentState) -> None:
    waiting = state in {PaymentState.OPEN, PaymentState.HALF}
    fate = None if waiting else Fate.JOINED
    changed = {"a": 7, "b": 5, "c": 5}
    a, b, c = [payment(f"pay_{i}", updated_at=at, state=state, fate=fate) for i, at in changed.items()]
    rows = [b, c, a]
    other = PaymentState.JOINED if state is not PaymentState.JOINED else PaymentState.DELIVERING
    await add(store, a, b, c, payment("pay_other", state=other, fate=Fate.JOINED))

    assert await store.transact(lambda books: books.payments_in(state, 10)) == rows
    assert await store.transact(lambda books: books.payments_in(state, 2)) == rows[:2]


async def test_a_joined_payment_that_rested_is_claimed_once_and_rests_again(store: AnyStore) -> None:
    joined = {"state": PaymentState.JOINED, "fate": Fate.JOINED}
    await add(store, *(payment(f"pay_{i}", updated_at=i, **joined) for i in (3, 1, 2)))
    await add(store, payment("pay_going", updated_at=1, state=PaymentState.DELIVERING, fate=Fate.JOINED))

    async def claim(before: int, now: int, limit: int = 10) -> set[str]:
        claimed = await store.transact(lambda books: books.claim_joined(at(before), at(now), limit))
        assert {now} >= {one.updated_at for one in claimed}
        return {one.id for one in claimed}

    assert {"pay_1"} == await claim(2, 100, limit=1)
    assert {"pay_2"} == await claim(2, 101)
    assert set() == await claim(2, 102)
    assert {"pay_3", "pay_1"} == await claim(100, 103)


async def test_of_many_who_claim_at_once_each_payment_goes_to_one(store: AnyStore) -> None:
    rows = [payment(f"pay_{i}", updated_at=1, state=PaymentState.JOINED, fate=Fate.JOINED) for i in range(20)]
    await add(store, *rows)
    claims = await asyncio.gather(
        *(store.transact(lambda books: books.claim_joined(at(1), at(9), 7)) for _ in range(6))
    )
    assert sorted(row.id for row in rows) == sorted(one.id for claimed in claims for one in claimed)


async def test_recent_payments_come_newest_first(store: AnyStore) -> None:
    rows = [payment(f"pay_{i}", opened_at=i) for i in range(4)]
    await add(store, *rows)

    assert await store.transact(lambda books: books.recent_payments(3)) == rows[:0:-1]


async def test_parts_come_back_in_order_of_arrival_with_and_without_content(store: AnyStore) -> None:
    await add(store, payment(), payment("pay_2"))
    rows = [part("part_9", received_at=1), part("part_1", received_at=2, rival=True, fields=frozenset({"pin"}))]
    for row in (*rows, part("part_5", "pay_2")):
        await store.transact(lambda books, row=row: books.add_part(row))

    assert await store.transact(lambda books: books.sealed_parts("pay_1")) == rows
    expected = [facts("part_9", received_at=1), facts("part_1", received_at=2, rival=True, fields=frozenset({"pin"}))]
    assert expected == await store.transact(lambda books: books.part_facts("pay_1"))
    assert await store.transact(lambda books: books.part("part_9")) == expected[0]
    assert await store.transact(lambda books: books.part("part_none")) is None


async def test_exactly_the_named_parts_are_rivals(store: AnyStore) -> None:
    await add(store, payment(), payment("pay_2"))
    for row in (part("part_1", rival=True), part("part_2"), part("part_3"), part("part_4", "pay_2", rival=True)):
        await store.transact(lambda books, row=row: books.add_part(row))

    await store.transact(lambda books: books.mark_rivals("pay_1", frozenset({"part_2", "part_3"})))
    rivals = {row.id: row.rival for row in await store.transact(lambda books: books.part_facts("pay_1"))}
    assert rivals == {"part_1": False, "part_2": True, "part_3": True}
    await store.transact(lambda books: books.mark_rivals("pay_1", frozenset()))
    assert not any(row.rival for row in await store.transact(lambda books: books.part_facts("pay_1")))
    other = await store.transact(lambda books: books.part("part_4"))
    assert other is not None
    assert other.rival


async def test_a_dropped_part_loses_content_and_fields_and_keeps_its_other_facts(store: AnyStore) -> None:
    await add(store, payment())
    for row in (part("part_1"), part("part_2")):
        await store.transact(lambda books, row=row: books.add_part(row))

    await store.transact(lambda books: books.drop_part("part_1"))
    assert await store.transact(lambda books: books.part("part_1")) == facts("part_1", fields=frozenset())
    assert await store.transact(lambda books: books.sealed_parts("pay_1")) == [part("part_2")]


async def test_erased_parts_keep_their_facts_and_a_second_erasure_is_harmless(store: AnyStore) -> None:
    await add(store, payment(), payment("pay_2"))
    for row in (part("part_1"), part("part_2"), part("part_3", "pay_2")):
        await store.transact(lambda books, row=row: books.add_part(row))

    await store.transact(lambda books: books.erase_parts("pay_1"))
    await store.transact(lambda books: books.erase_parts("pay_1"))
    assert await store.transact(lambda books: books.sealed_parts("pay_1")) == []
    assert await store.transact(lambda books: books.part_facts("pay_1")) == [facts("part_1"), facts("part_2")]
    kept = await store.transact(lambda books: books.sealed_parts("pay_2"))
    assert kept == [part("part_3", "pay_2")]


async def test_a_part_filed_without_content_counts_as_erased(store: AnyStore) -> None:
    await add(store, payment())
    await store.transact(lambda books: books.add_part(part("part_1", sealed=b"")))

    assert await store.transact(lambda books: books.sealed_parts("pay_1")) == []
    assert await store.transact(lambda books: books.part("part_1")) == facts("part_1")


async def test_a_payment_that_waits_is_found_by_the_digest_of_any_key_and_kept_under_the_first(store: AnyStore) -> None:
    rotated = replace(element(b"new"), others=(b"old",))
    await add(store, payment("pay_1", element=element(b"old")))
    waiting = await store.transact(lambda books: books.open_payment(rotated, "card"))
    assert waiting == payment("pay_1", element=element(b"old"))
    await store.transact(lambda books: books.decide_fate("pay_1", Fate.EXPIRED, at(6_000)))
    await add(store, payment("pay_2", element=rotated))
    assert payment("pay_2", element=element(b"new")) == await store.transact(lambda books: books.payment("pay_2"))
