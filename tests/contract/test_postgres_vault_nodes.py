"""Several nodes on one PostgreSQL database at the same moment: users, numbers, notices, PINs, channels and routes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
import pytest
from databases import PostgresDatabase
from msgspec.structs import replace
from store_samples import at, back_end, channel, credential, notice, user

from tallystick.adapters.store.postgres.store import PostgresStore
from tallystick.channels.model import ChannelState, LimitKind, PinToken, Tally
from tallystick.errors import AlreadyExists, Conflict, TallystickError
from tallystick.routing.model import RouteVersion, RoutingTable, Status
from tallystick.runtime import Millis, SystemRandomness
from tallystick.secret import Secret
from tallystick.testing.desk import BANK, NOON, SetClock
from tallystick.testing.inbox import RecordingCarrier, waiting_notices
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.quick_stretcher import QuickStretcher
from tallystick.vault import numbers, users
from tallystick.vault.model import Contact, Due, Medium, SignUp
from tallystick.vault.notices import Message, seal_notice, send_due

Nodes = list[PostgresStore]
NODES = 3
OFTEN = 12  # times each thing is tried, spread over the nodes


@pytest.fixture
async def nodes(postgres: PostgresDatabase) -> AsyncIterator[Nodes]:
    made = [PostgresStore(postgres.settings) for _ in range(NODES)]
    yield made
    for each in made:
        await each.aclose()


async def at_once(nodes: Nodes, work: Callable[[Any, int], Awaitable[Any]], times: int = OFTEN) -> list[Any]:
    """Run a work many times at once, over all nodes; what one raises is what it gives."""

    async def one(n: int) -> Any:
        try:
            return await nodes[n % NODES].transact(lambda books: work(books, n))
        except TallystickError as error:
            return type(error)

    return await asyncio.gather(*map(one, range(times)))


async def test_password_tries_at_every_node_are_each_counted(nodes: Nodes) -> None:
    tries = await at_once(nodes, lambda books, _: books.count_try("usr_1", at(5_000), 1_000))
    assert [*range(1, OFTEN + 1)] == sorted(tries)


async def test_counts_of_a_limit_at_every_node_add_up(nodes: Nodes) -> None:
    tally = Tally(kind=LimitKind.CHANNEL, subject=b"s", window=1, ends_at=at(5_000), count=2)
    totals = await at_once(nodes, lambda books, _: books.add_tally(tally))
    assert [2 * n for n in range(1, OFTEN + 1)] == sorted(totals)


async def test_counts_that_nodes_add_to_in_any_order_lose_nothing(nodes: Nodes) -> None:
    usual = {"kind": LimitKind.CHANNEL, "window": 1, "ends_at": at(5_000), "count": 2}
    rows = [Tally(subject=bytes([n]), **usual) for n in range(20)]
    await at_once(nodes, lambda books, n: books.add_tallies(rows if n % 2 else rows[::-1]))
    assert {2 * OFTEN} == {each.count for each in await nodes[0].read(lambda books: books.tallies(at(0)))}


async def test_a_device_counter_is_accepted_once_at_whichever_node(nodes: Nodes) -> None:
    taken = await at_once(nodes, lambda books, n: books.advance_pin_counter("app", "d1", n // NODES))
    accepted = Counter(n // NODES for n, each in enumerate(taken) if each)
    assert {1} == set(accepted.values())
    assert (OFTEN - 1) // NODES in accepted
    assert [False] * OFTEN == await at_once(nodes, lambda books, n: books.advance_pin_counter("app", "d1", n // NODES))


async def test_of_all_nodes_one_uses_a_token_a_code_and_a_sign_up(nodes: Nodes) -> None:
    token = PinToken(token="9000000000000002", channel_id="ch_1", issued_at=at(1), expires_at=at(5_000))
    waiting = SignUp(id="su_1", epoch="e", sealed=b"s", expires_at=at(5_000))
    await nodes[0].transact(lambda books: books.add_pin_token(token))
    await nodes[0].transact(lambda books: books.add_sign_up(waiting))
    use = {"channel_id": "ch_1", "payment_id": "pay_1", "now": at(2_000)}

    for work in (
        lambda books, n: books.use_pin_token(token.token, part_id=f"part_{n}", **use),
        lambda books, _: books.use_code("usr_1", 7),
        lambda books, _: books.drop_sign_up("su_1"),
    ):
        assert 1 == (await at_once(nodes, work)).count(True)


async def test_of_all_nodes_one_registers_a_name(nodes: Nodes) -> None:
    made = await at_once(nodes, lambda books, n: books.add_user(user(f"usr_{n}", name_digest=b"one name")))
    assert Counter({AlreadyExists: OFTEN - 1, None: 1}) == Counter(made)


async def test_changes_of_a_channel_at_all_nodes_are_none_of_them_lost(nodes: Nodes) -> None:
    await nodes[0].transact(lambda books: books.add_channel(channel("ch_1", fields=frozenset())))

    async def one_more(books: Any, n: int) -> None:
        found = await books.channel("ch_1")
        await books.replace_channel(replace(found, fields=found.fields | {f"field{n}"}))

    assert {None} == set(await at_once(nodes, one_more, NODES))
    found = await nodes[0].read(lambda books: books.channel("ch_1"))
    assert found is not None
    assert {f"field{n}" for n in range(NODES)} == found.fields


async def test_a_node_that_keeps_a_channel_hears_of_its_suspension_before_it_uses_it(nodes: Nodes) -> None:
    await nodes[0].transact(lambda books: books.add_channel(channel("ch_1")))
    for node in nodes:
        await node.read(lambda books: books.channel("ch_1"))
    await nodes[0].transact(lambda books: books.replace_channel(channel("ch_1", state=ChannelState.SUSPENDED)))
    for node in nodes:
        found = await node.transact(lambda books: books.channel("ch_1"))
        assert found is not None
        assert ChannelState.SUSPENDED is found.state


async def test_of_all_nodes_one_makes_the_next_version_of_the_routing_table(nodes: Nodes) -> None:
    table = RoutingTable(version=1, back_ends=(back_end(),), issuer_rules=())

    def version(number: int, author: int) -> RouteVersion:
        return RouteVersion(version=number, at=at(1), author=f"node {author}", note="", digest="0" * 64)

    made = await at_once(nodes, lambda books, n: books.put_version(version(1, n), table))
    assert Counter({Conflict: OFTEN - 1, None: 1}) == Counter(made)
    for status in (Status.ACTIVE, Status.DRAINING):
        await nodes[0].transact(lambda books, status=status: books.put_status(table.back_ends[0].id, status))
        assert [status] * NODES == [
            (await node.read(lambda books: books.routing_table())).back_ends[0].status for node in nodes
        ]


async def test_a_batch_leaves_out_whoever_another_transaction_holds(nodes: Nodes, postgres: PostgresDatabase) -> None:
    for n in range(4):
        await nodes[0].transact(lambda books, n=n: books.add_user(user(f"usr_{n}")))
        await nodes[0].transact(lambda books, n=n: books.put_credential(credential(f"usr_{n}")))
    with psycopg.connect(postgres.settings.dsn) as other:
        other.execute("SELECT 1 FROM numbered WHERE user_id IN ('usr_0', 'usr_2') FOR UPDATE")
        due = await nodes[0].transact(lambda books: books.due_numbers("12345678", "2026-01-05", None, 10))
    assert [Due("usr_1", ""), Due("usr_3", "")] == due


async def test_numbers_renewed_by_all_nodes_at_once_are_one_each(nodes: Nodes, postgres: PostgresDatabase) -> None:
    keyring, randomness, clock = MemoryKeyring(), SystemRandomness(), SetClock()
    names = [f"user{n}" for n in range(40)]
    for name in names:
        user_id = await users.register(
            nodes[0],
            keyring,
            QuickStretcher(),
            clock,
            randomness,
            username=name,
            password=Secret("correct horse battery"),
            contact=Contact(email=f"{name}@example.org"),
        )
        await nodes[0].transact(lambda books, who=user_id: books.put_credential(credential(who, BANK.id)))

    async def renew(node: PostgresStore) -> int:
        done = await numbers.renew(node, keyring, clock, randomness, back_end=BANK, batch=3)
        return done.made

    made = [*await asyncio.gather(*map(renew, nodes)), await renew(nodes[0])]
    assert len(names) == sum(made)
    assert [(len(names), len(names))] == postgres.rows("SELECT count(*), count(DISTINCT user_id) FROM claim")
    assert len(names) == len(await waiting_notices(nodes[0]))


async def test_notices_sent_by_all_nodes_at_once_go_out_once_each(nodes: Nodes) -> None:
    keyring, randomness, carrier = MemoryKeyring(), SystemRandomness(), RecordingCarrier()
    message = Message(address="+4915112345678", subject="s", text="t")
    for _ in range(30):
        sealed = seal_notice(keyring, randomness, Medium.SMS, message, NOON)
        await nodes[0].transact(lambda books, sealed=sealed: books.add_notice(sealed))
    pace = {Medium.SMS: 1_000}
    rounds = await asyncio.gather(
        *(send_due(node, keyring, {Medium.SMS: carrier}, SetClock(), 15, per_second=pace) for node in nodes)
    )
    assert 30 == sum(each.sent for each in rounds) == len({sent.reference for sent in carrier.sent})
    assert [] == await waiting_notices(nodes[0])


async def test_bookings_of_a_provider_by_all_nodes_never_overlap(nodes: Nodes) -> None:
    starts = await at_once(nodes, lambda books, _: books.book_pace(Medium.SMS, at(1_000), 50))
    assert [Millis(1_000 + 50 * n) for n in range(OFTEN)] == sorted(starts)


async def test_a_notice_whose_id_is_taken_fails_the_work_that_adds_it(nodes: Nodes) -> None:
    added = await at_once(nodes, lambda books, n: books.add_notice(notice(sealed=bytes([n]))), 4)
    assert Counter({AlreadyExists: 3, None: 1}) == Counter(added)
