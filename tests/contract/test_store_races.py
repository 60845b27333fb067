"""Several nodes on one database: each race has one winner, and nothing is lost or doubled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from databases import PostgresDatabase
from store_samples import at, channel, credential, element, intent, part, payment, user

from tallystick.adapters.store.postgres.store import PostgresStore
from tallystick.assembly.facts import ElementKind, Fate, PaymentState
from tallystick.assembly.model import Claim
from tallystick.audit.chain import chained, read
from tallystick.audit.model import START
from tallystick.delivery.books import Books
from tallystick.errors import AlreadyExists, Conflict, Replayed
from tallystick.runtime import SystemClock
from tallystick.security.model import StoredAnswer

NODES = 3
ATTEMPTS_MAX = 20  # rounds until two of them are at it at the same moment
ROUNDS = 10
ANSWER = StoredAnswer(fingerprint=b"fingerprint", body=b"body")


@pytest.fixture
async def nodes(postgres: PostgresDatabase) -> AsyncIterator[list[PostgresStore]]:
    made = [PostgresStore(postgres.settings, SystemClock()) for _ in range(NODES)]
    yield made
    for node in made:
        await node.aclose()


async def all_at_once(nodes: list[PostgresStore], work: Callable[[int, Books], Any]) -> list[Any]:
    """Run a work twice on each node at the same time; refusals are results."""
    runs = [(number, node) for number, node in enumerate(nodes * 2)]
    return await asyncio.gather(
        *(node.transact(lambda books, n=number: work(n, books)) for number, node in runs), return_exceptions=True
    )


async def test_one_fate_is_decided_by_one_node(nodes: list[PostgresStore]) -> None:
    fates = (Fate.JOINED, Fate.CANCELLED, Fate.EXPIRED)
    for round_ in range(ROUNDS):
        payment_id = f"pay_{round_}"
        await nodes[0].transact(lambda books, which=payment_id: books.add_payment(payment(which)))

        async def decide(number: int, books: Books, which: str = payment_id) -> bool:
            return await books.decide_fate(which, fates[number % 3], at(number))

        assert 1 == (await all_at_once(nodes, decide)).count(True)


async def test_parts_that_arrive_at_once_on_several_nodes_join_once_and_in_one_payment(
    nodes: list[PostgresStore],
) -> None:
    """File as the join does: find or open the payment, look at its parts, decide when they are complete."""

    async def file(number: int, books: Books, digest: bytes) -> bool:
        waiting = await books.open_payment(element(digest), "card")
        if waiting is None:
            waiting = payment(f"pay_{digest.decode()}_{number}", element=element(digest))
            await books.add_payment(waiting)
        await books.add_part(part(f"part_{digest.decode()}_{number}", waiting.id, channel_id=f"ch_{number}"))
        complete = len(await books.sealed_parts(waiting.id)) == NODES * 2
        return complete and await books.decide_fate(waiting.id, Fate.JOINED, at(9))

    for round_ in range(ROUNDS):
        digest = str(round_).encode()
        joined = await all_at_once(nodes, lambda number, books, d=digest: file(number, books, d))
        assert [] == [each for each in joined if isinstance(each, BaseException)]
        assert 1 == joined.count(True)
    assert ROUNDS == len(await nodes[0].read(lambda books: books.recent_payments(100)))


async def test_a_nonce_is_used_once_and_an_idempotency_key_has_one_answer(nodes: list[PostgresStore]) -> None:
    for round_ in range(ROUNDS):

        async def use(_number: int, books: Books, nonce: str = f"nonce {round_}") -> str:
            await books.remember_nonce("ch_pc", nonce, at(9))
            return "used"

        found = await all_at_once(nodes, use)
        assert 1 == found.count("used")
        assert NODES * 2 - 1 == sum(isinstance(each, Replayed) for each in found)

    async def answer(number: int, books: Books) -> bytes:
        kept = await books.stored_answer("ch_pc", "key")
        if kept is None:
            kept = StoredAnswer(fingerprint=b"f", body=f"answer of {number}".encode())
            await books.keep_answer("ch_pc", "key", kept, at(9))
        return kept.body

    assert 1 == len(set(await all_at_once(nodes, answer)))


async def test_trace_numbers_never_come_twice_and_one_intent_wins(nodes: list[PostgresStore]) -> None:
    async def draw(_number: int, books: Books) -> list[int]:
        return [await books.next_stan("12345678", "2026010100") for _ in range(20)]

    drawn = [stan for each in await all_at_once(nodes, draw) for stan in each]
    assert len(drawn) == len(set(drawn)) == NODES * 2 * 20

    await nodes[0].transact(lambda books: books.add_payment(payment()))
    await nodes[0].transact(lambda books: books.decide_fate("pay_1", Fate.JOINED, at(1)))

    async def intend(_number: int, books: Books) -> bool:
        joined, delivering = PaymentState.JOINED, PaymentState.DELIVERING
        if not await books.advance("pay_1", expected=joined, state=delivering, at=at(2)):
            return False
        await books.next_stan("12345678", "2026010100")
        await books.add_intent(intent())
        return True

    assert 1 == (await all_at_once(nodes, intend)).count(True)
    assert 1 == len(await nodes[1].read(lambda books: books.intents("pay_1")))


async def test_an_element_that_is_issued_at_once_stands_for_one_payer(nodes: list[PostgresStore]) -> None:
    for round_ in range(ROUNDS):
        issued = element(f"number {round_}".encode(), ElementKind.INSTITUTION, "12345678")

        async def issue(number: int, books: Books, issued: Any = issued) -> str:
            claim = Claim(institution="12345678", user_id=f"usr_{number}")
            await books.issue_claim(issued, claim, valid_from=at(1), valid_until=at(9))
            return f"usr_{number}"

        found = await all_at_once(nodes, issue)
        (winner,) = [each for each in found if isinstance(each, str)]
        assert NODES * 2 - 1 == sum(isinstance(each, AlreadyExists) for each in found)
        claim = await nodes[0].read(lambda books, issued=issued: books.claim(issued, at(5)))
        assert claim is not None
        assert winner == claim.user_id


async def test_each_password_try_is_counted_whichever_node_it_comes_to(nodes: list[PostgresStore]) -> None:
    await nodes[0].transact(lambda books: books.add_user(user()))

    async def count(_number: int, books: Books) -> int:
        return await books.count_try("usr_1", at(1_000), 60_000)

    counted = [tries for _ in range(ROUNDS) for tries in await all_at_once(nodes, count)]
    assert [*range(1, NODES * 2 * ROUNDS + 1)] == sorted(counted)


async def test_users_due_for_a_number_are_renewed_once_by_nodes_side_by_side(nodes: list[PostgresStore]) -> None:
    async def enrol(books: Books) -> None:
        for number in range(30):
            await books.add_user(user(f"usr_{number}"))
            await books.put_credential(credential(f"usr_{number}"))

    await nodes[0].transact(enrol)

    async def renew(_number: int, books: Books) -> list[str]:
        due = await books.due_numbers("12345678", "2026-01-01", None, 7)
        return [each.user_id for each in due if await books.note_number("12345678", each.user_id, "2026-01-01")]

    made: list[str] = []
    while found := [user_id for each in await all_at_once(nodes, renew) for user_id in each]:
        made += found
    assert sorted(f"usr_{number}" for number in range(30)) == sorted(made)


async def test_the_chain_of_all_nodes_is_one_without_a_gap_and_events_are_in_one_order(
    nodes: list[PostgresStore],
) -> None:
    async def open_and_cancel(number: int, round_: int) -> None:
        node, payment_id = nodes[number % NODES], f"pay_{number}_{round_}"
        await node.transact(lambda books: books.add_payment(payment(payment_id)))
        await node.transact(lambda books: books.decide_fate(payment_id, Fate.CANCELLED, at(9)))

    seen: list[int] = []

    async def follow() -> None:
        while len(seen) < NODES * 2 * ROUNDS:
            events = await nodes[0].read(lambda books: books.events_after(seen[-1] if seen else 0, 100))
            seen.extend(event.seq for event in events)
            await asyncio.sleep(0)

    works = (open_and_cancel(number, round_) for number in range(NODES * 2) for round_ in range(ROUNDS))
    async with asyncio.timeout(30):
        await asyncio.gather(follow(), *works)

    assert [*range(1, NODES * 2 * ROUNDS + 1)] == seen, "no number ever appears below one already seen"
    links = await nodes[1].read(lambda books: books.audit_links(0, 1_000))
    before = START.hash
    for seq, link in enumerate(links, 1):
        assert (seq, chained(before, link.body)) == (link.seq, link.hash)
        before = link.hash
    subjects = [(read(link.body).action, read(link.body).subjects[0]) for link in links]
    assert len(subjects) == len(set(subjects)) == NODES * 2 * ROUNDS * 2


async def test_a_channel_that_one_node_suspends_is_never_used_as_active_by_another(nodes: list[PostgresStore]) -> None:
    await nodes[0].transact(lambda books: books.add_channel(channel(algorithm="version 0")))
    for version in range(1, ROUNDS):
        for node in nodes:
            found = await node.read(lambda books: books.channel("ch_pc"))
            assert found is not None
            assert f"version {version - 1}" == found.algorithm
        changed = channel(algorithm=f"version {version}")
        await nodes[version % NODES].transact(lambda books, changed=changed: books.replace_channel(changed))


async def test_an_error_that_rests_on_a_kept_row_that_is_old_is_not_believed(nodes: list[PostgresStore]) -> None:
    await nodes[0].transact(lambda books: books.add_channel(channel(algorithm="old")))
    await nodes[1].read(lambda books: books.channel("ch_pc"))
    await nodes[0].transact(lambda books: books.replace_channel(channel(algorithm="new")))

    async def insist(books: Books) -> str:
        found = await books.channel("ch_pc")
        if found is None or found.algorithm != "new":
            raise Conflict("this channel is old")
        return found.algorithm

    assert "new" == await nodes[1].transact(insist)


async def test_a_work_that_loses_a_race_is_run_again_and_sees_the_winner_s_row(nodes: list[PostgresStore]) -> None:
    for attempt in range(ATTEMPTS_MAX):
        runs, shared = await _open_or_find(nodes, attempt)
        assert 1 == len(shared)
        if runs > NODES * 2:
            return
    pytest.fail("nobody raced: the test shows nothing")


async def _open_or_find(nodes: list[PostgresStore], attempt: int) -> tuple[int, set[str]]:
    """Let all nodes open a payment under one element; returns how many runs that took and what they found."""
    runs, under = [], element(f"attempt {attempt}".encode())

    async def open_or_find(number: int, books: Books) -> str:
        runs.append(number)
        waiting = await books.open_payment(under, "card")
        if waiting is None:
            waiting = payment(f"pay_{attempt}_{number}", element=under)
            await books.add_payment(waiting)
        return waiting.id

    found = set(await all_at_once(nodes, open_or_find))
    return len(runs), found


async def test_a_refusal_that_no_second_run_helps_reaches_the_caller(nodes: list[PostgresStore]) -> None:
    await nodes[0].transact(lambda books: books.add_payment(payment()))
    with pytest.raises(Conflict):
        await nodes[1].transact(lambda books: books.add_payment(payment()))
