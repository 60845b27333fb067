"""Leases: who may send, who is dead for the others, and what is left of the dead."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from tallystick.assembly.facts import PaymentState
from tallystick.delivery.model import Finding, Intent, IntentState, Known, Node, NodeKind, Recovery
from tallystick.delivery.nodes import BEAT_EVERY_S, FENCE_MS, LEASE_MS, TAKEOVER_MS, LeasedNode, NoNode
from tallystick.doubts import LOST_AFTER_MS, give_up_lost, pursue_due, take_up
from tallystick.errors import NotSent, StoreFailed
from tallystick.path import carry
from tallystick.routing.model import Status
from tallystick.runtime import Millis
from tallystick.sweep import HEALTH_EVERY, RETRY_AFTER_MS, Sweep, retry_deliverable
from tallystick.testing.connector import APPROVED, DECLINED, HANG, ScriptedConnector, ScriptedConnectors
from tallystick.testing.inbox import RecordingCarrier
from tallystick.testing.messages import send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform
from tallystick.vault.model import Medium
from tallystick.vault.notices import Message, seal_notice

DEAD_AFTER_MS = LEASE_MS + TAKEOVER_MS
ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY"}


@dataclass
class Deaths:
    """A witness that a test tells who is dead (`delivery.ports.Witness`)."""

    place: str = "here"
    dead: set[str] = field(default_factory=set)
    attested: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def attest(self, node_id: str) -> None:
        self.attested.append(node_id)

    def is_dead(self, node: Node) -> bool:
        return node.id in self.dead

    def forget(self, node_id: str) -> None:
        self.forgotten.append(node_id)


@pytest.fixture
async def world() -> MemoryPlatform:
    made = await memory_platform()
    for channel_id in ("pc", "phone"):
        await made.channel(channel_id)
    return made


async def leased(world: MemoryPlatform, witness: Deaths | None = None) -> LeasedNode:
    made = LeasedNode(
        world.store,
        world.clock,
        world.randomness,
        kind=NodeKind.WORKER,
        name="host:1",
        release="1",
        witness=witness,
    )
    await made.enter()
    return made


async def ids(world: MemoryPlatform) -> set[str]:
    return {node.id for node in await world.store.read(lambda books: books.nodes())}


async def join(world: MemoryPlatform, n: int = 0) -> str:
    base = {"policy": "card", "element": {"kind": "phone", "phone": f"+861380013{n:04d}"}}
    card = {**base, "fields": {"pan": "6212142600000000043", "expiry": "3012"}, "order": ORDER}
    await send_part(world, world.members["pc"], card)
    pin = {**base, "fields": {"pin_block": "1412348F0A3B5C7D"}}
    joined = (await send_part(world, world.members["phone"], pin)).joined
    assert joined is not None
    return joined


async def state(world: MemoryPlatform, payment_id: str) -> PaymentState:
    payment = await world.store.read(lambda books: books.payment(payment_id))
    assert payment is not None
    return payment.state


async def intents(world: MemoryPlatform, payment_id: str) -> list[Intent]:
    return await world.store.read(lambda books: books.intents(payment_id))


async def sending(world: MemoryPlatform, payment_id: str, connector: ScriptedConnector) -> "asyncio.Task[None]":
    task = asyncio.create_task(carry(world.platform, payment_id))
    while not connector.instructions:  # noqa: ASYNC110  # a scripted connector has no event to wait for
        await asyncio.sleep(0)
    return task


async def stopped(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# A node's own lease


async def test_a_node_that_renews_its_lease_may_send_for_ever(world: MemoryPlatform) -> None:
    node = await leased(world)
    for _ in range(20):
        await world.clock.advance(round(BEAT_EVERY_S * 1000))
        await node.beat()
        node.require_lease()


async def test_a_node_that_cannot_renew_its_lease_begins_no_send_before_it_is_over(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await leased(world)
    monkeypatch.setattr(world.store._books, "renew_node", fail)
    with pytest.raises(StoreFailed):
        await node.beat()
    await world.clock.advance(LEASE_MS - FENCE_MS - 1)
    node.require_lease()
    await world.clock.advance(1)
    with pytest.raises(NotSent):
        node.require_lease()


async def fail(*_: object) -> bool:
    raise StoreFailed("the disk is full")


async def test_a_lease_that_ends_later_than_any_renewal_would_is_none(world: MemoryPlatform) -> None:
    node = await leased(world)
    await world.clock.advance(-1)
    with pytest.raises(NotSent):
        node.require_lease()


async def test_before_it_entered_and_after_it_left_nothing_is_sent(world: MemoryPlatform) -> None:
    node = LeasedNode(world.store, world.clock, world.randomness, kind=NodeKind.SERVE, name="n", release="1")
    for _ in range(2):
        with pytest.raises(NotSent):
            node.require_lease()
        async with node.living():
            node.require_lease()
    assert {world.node.id} == await ids(world)


async def test_a_living_node_renews_its_lease_by_itself_also_after_a_failure(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = LeasedNode(world.store, world.clock, world.randomness, kind=NodeKind.SERVE, name="n", release="1")
    async with node.living():
        for failing in (True, False, False, False, False, False, False):
            with monkeypatch.context() as broken:
                if failing:
                    broken.setattr(world.store._books, "renew_node", fail)
                for ms in (0, round(BEAT_EVERY_S * 1000)):
                    await asyncio.sleep(0)
                    await world.clock.advance(ms)
                for _ in range(10):
                    await asyncio.sleep(0)
        node.require_lease()
    assert "was not renewed" in caplog.text


async def test_an_operators_command_sends_nothing_and_does_no_chore() -> None:
    with pytest.raises(NotSent):
        NoNode().require_lease()
    assert False is await NoNode().holds("notices")


# Who is dead for the others


async def test_a_silent_node_is_buried_after_its_lease_and_the_time_a_send_takes(world: MemoryPlatform) -> None:
    silent = await leased(world)
    await world.clock.advance(DEAD_AFTER_MS - 1)
    await world.node.beat()
    assert {world.node.id, silent.id} == await ids(world)
    await world.clock.advance(1)
    await world.node.beat()
    assert {world.node.id} == await ids(world)


async def test_a_node_that_is_proven_dead_is_buried_at_once(world: MemoryPlatform) -> None:
    deaths = Deaths()
    dead, alive = await leased(world, Deaths()), await leased(world, deaths)
    deaths.dead.add(dead.id)
    await alive.beat()
    assert {world.node.id, alive.id} == await ids(world)
    assert [dead.id] == deaths.forgotten


async def test_a_node_that_was_taken_for_dead_goes_on_as_another_one(world: MemoryPlatform) -> None:
    deaths = Deaths()
    hung = await leased(world, deaths)
    before = hung.id
    await world.clock.advance(DEAD_AFTER_MS)
    await world.node.beat()
    with pytest.raises(NotSent):
        hung.require_lease()
    await hung.beat()
    hung.require_lease()
    assert before != hung.id
    assert {world.node.id, hung.id} == await ids(world)
    assert ([before, hung.id], [before]) == (deaths.attested, deaths.forgotten)


async def test_every_node_knows_how_many_there_are(world: MemoryPlatform) -> None:
    first, second = await leased(world), await leased(world)
    await first.beat()
    assert (3, 3) == (first.peers, second.peers)
    await second.leave()
    await first.beat()
    assert 2 == first.peers


# What the dead were sending


async def test_what_a_living_node_sends_is_left_to_it_by_all_others(world: MemoryPlatform) -> None:
    hanging = await world.back_end(bank(), ScriptedConnector(HANG))
    payment_id, other = await join(world), await world.peer()
    task = await sending(world, payment_id, hanging)
    assert 0 == await give_up_lost(other.platform)
    assert world.node.id == (await intents(world, payment_id))[0].node
    await stopped(task)
    assert PaymentState.DELIVERING is await state(world, payment_id)


async def test_what_a_dead_node_was_sending_is_inquired_by_another_and_never_sent_again(
    world: MemoryPlatform,
) -> None:
    connector = ScriptedConnector(HANG, recovery=frozenset({Recovery.INQUIRY}), findings=[found(Known.APPROVED)])
    await world.back_end(bank(), connector)
    payment_id, dying, living = await join(world), await world.peer(lease_ms=LEASE_MS), await world.peer()
    await stopped(await sending(dying, payment_id, connector))
    for _ in range(2):
        assert 0 == await give_up_lost(living.platform)
        await world.clock.advance(DEAD_AFTER_MS)
        await living.node.beat()
        break
    assert 1 == await give_up_lost(living.platform)
    await take_up(living.platform)
    await pursue_due(living.platform)
    assert (PaymentState.APPROVED, 1, 1) == (
        await state(world, payment_id),
        len(connector.instructions),
        len(connector.inquiries),
    )


async def test_an_outcome_that_a_living_node_could_not_record_is_given_up_in_the_end(world: MemoryPlatform) -> None:
    hanging = await world.back_end(bank(), ScriptedConnector(HANG))
    payment_id = await join(world)
    await stopped(await sending(world, payment_id, hanging))
    await world.clock.advance(LOST_AFTER_MS - 1)
    assert 0 == await give_up_lost(world.platform)
    await world.clock.advance(1)
    assert 1 == await give_up_lost(world.platform)
    assert PaymentState.UNKNOWN is await state(world, payment_id)


@pytest.mark.parametrize(("answer", "ends"), [(APPROVED, PaymentState.APPROVED), (DECLINED, PaymentState.DECLINED)])
async def test_an_answer_that_comes_after_a_node_was_buried_counts_as_told(
    world: MemoryPlatform, answer: object, ends: PaymentState
) -> None:
    late: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(_: object) -> object:
        await late
        return answer

    connector = await world.back_end(bank(), ScriptedConnector(wait))  # type: ignore[arg-type]  # an answer of the connector's kind
    payment_id, other = await join(world), await world.peer()
    task = await sending(world, payment_id, connector)
    await world.node.leave()
    assert 1 == await give_up_lost(other.platform)
    await take_up(other.platform)
    assert PaymentState.MANUAL is await state(world, payment_id)
    late.set_result(None)
    await task
    assert ends is await state(world, payment_id)


async def test_a_node_without_a_lease_leaves_a_joined_payment_to_the_others(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank())
    hung, other = await world.peer(lease_ms=LEASE_MS), await world.peer()
    payment_id = await join(world)
    await world.clock.advance(LEASE_MS)
    await carry(hung.platform, payment_id)
    assert (PaymentState.JOINED, []) == (await state(world, payment_id), await intents(world, payment_id))
    await retry_deliverable(other.platform)
    assert (PaymentState.APPROVED, 1) == (await state(world, payment_id), len(connector.instructions))


async def test_a_lease_that_ends_between_intent_and_send_is_a_proven_non_send(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank())
    payment_id, hung = await join(world), await world.peer(lease_ms=LEASE_MS)
    transact, works = hung.store.transact, []

    async def slow(work: object) -> object:
        result = await transact(work)  # type: ignore[arg-type]  # whatever the path gives
        works.append(work)
        if await intents(world, payment_id):
            await world.clock.advance(LEASE_MS)
        return result

    hung.store.transact = slow  # type: ignore[method-assign, assignment]  # a disk that takes its time after the commit
    await carry(hung.platform, payment_id)
    assert [IntentState.NOT_SENT] == [intent.state for intent in await intents(world, payment_id)]
    assert ([], PaymentState.JOINED) == (connector.instructions, await state(world, payment_id))


# What only one may do


async def test_many_sweeps_at_once_try_a_waiting_payment_once(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank(), ScriptedConnector(NotSent("away"), NotSent("away")))
    platforms = [world.platform, *[(await world.peer()).platform for _ in range(4)]]
    await join(world)
    await world.clock.advance(RETRY_AFTER_MS)
    assert [0, 0, 0, 0, 1] == sorted(await asyncio.gather(*map(retry_deliverable, platforms)))
    assert 1 == len(connector.instructions)


async def test_a_payer_gets_a_notice_from_one_of_many_nodes_and_from_the_next_when_that_one_dies(
    world: MemoryPlatform,
) -> None:
    other, carrier = await world.peer(), RecordingCarrier()
    first, second = (Sweep(each.platform, {Medium.SMS: carrier}) for each in (world, other))
    for number in range(3):
        message = Message(address=f"+861380013800{number}", subject="s", text="t")
        notice = seal_notice(world.keyring, world.randomness, Medium.SMS, message, world.clock.now())
        await world.store.transact(lambda books, notice=notice: books.add_notice(notice))
        rounds = asyncio.gather(first.round(1), second.round(1))
        while not rounds.done():  # a medium has a pace, which passes by this clock alone
            await world.clock.advance(1)
            await asyncio.sleep(0)
        await rounds
        if number == 1:
            await world.node.leave()
    assert [f"+861380013800{number}" for number in range(3)] == [sent.address for sent in carrier.sent]


async def test_of_nodes_with_different_ways_to_a_back_end_one_says_how_it_is(world: MemoryPlatform) -> None:
    await world.back_end(bank())
    cut_off = replace((await world.peer()).platform, connectors=ScriptedConnectors())
    near, far = Sweep(world.platform, {}), Sweep(cut_off, {})
    for number in range(0, 4 * HEALTH_EVERY, HEALTH_EVERY):
        await near.round(number)
        await far.round(number)
    (back_end,) = (await world.store.read(lambda books: books.routing_table())).back_ends
    assert Status.ACTIVE is back_end.status


async def test_a_node_whose_lease_is_over_does_no_chore(world: MemoryPlatform) -> None:
    node = await leased(world)
    assert True is await node.holds("notices")
    await world.clock.advance(LEASE_MS)
    assert False is await node.holds("notices")


async def test_without_timers_a_process_keeps_its_keys_and_echoes_only(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank())
    payment_id = await join(world)
    await world.clock.advance(RETRY_AFTER_MS)
    await Sweep(world.platform, {}, timers=False).round(0)
    assert (PaymentState.JOINED, 1) == (await state(world, payment_id), connector.echoes)
    assert None is await world.store.read(lambda books: books.chore_holder("health"))


def found(known: Known) -> Finding:
    return Finding(known=known)


def test_the_bounds_of_a_lease_fit_each_other() -> None:
    assert Millis(round(BEAT_EVERY_S * 1000) * 4) < LEASE_MS - FENCE_MS
