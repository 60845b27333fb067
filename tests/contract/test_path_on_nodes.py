"""The whole path with its parts arriving at different nodes of one database."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from databases import PostgresDatabase

from tallystick import limits
from tallystick.adapters.store.postgres.store import PostgresStore
from tallystick.assembly.facts import PaymentState
from tallystick.audit.chain import read
from tallystick.errors import Replayed
from tallystick.path import carry
from tallystick.routing.issuer_file import shipped_rules
from tallystick.sweep import expire
from tallystick.testing.connector import ScriptedConnector
from tallystick.testing.messages import arrival_of, give, send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform

NODES = 3
PAYMENTS = 12
ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY", "reference": "order 7"}


@dataclasses.dataclass
class Cluster:
    """Nodes that share a database, keys and back end."""

    nodes: list[MemoryPlatform]
    back_end: ScriptedConnector

    def __getitem__(self, number: int) -> MemoryPlatform:
        return self.nodes[number % NODES]


@pytest.fixture
async def cluster(postgres: PostgresDatabase) -> AsyncIterator[Cluster]:
    world = await memory_platform()
    stores = [PostgresStore(postgres.settings, world.clock) for _ in range(NODES)]
    nodes = [
        dataclasses.replace(world, store=store, platform=dataclasses.replace(world.platform, store=store))
        for store in stores
    ]
    await nodes[0].rules(shipped_rules())
    for channel_id in ("pc", "phone"):
        await nodes[0].channel(channel_id)
    yield Cluster(nodes, await nodes[0].back_end(bank()))
    for store in stores:
        await store.aclose()


def card(number: int) -> dict[str, Any]:
    phone = {"kind": "phone", "phone": f"+861380013{number:04d}"}
    fields = {"pan": "6212142600000000043", "expiry": "3012"}
    return {"policy": "card", "element": phone, "fields": fields, "order": ORDER}


def pin(number: int) -> dict[str, Any]:
    return {"policy": "card", "element": card(number)["element"], "fields": {"pin_block": "1412348F0A3B5C7D"}}


async def send(node: MemoryPlatform, channel: str, content: object) -> str | None:
    return (await send_part(node, node.members[channel], content)).joined


async def expire_when_due(cluster: Cluster) -> None:
    while not await expire(cluster[1].platform):
        if PaymentState.HALF not in await states(cluster):
            return


async def states(cluster: Cluster) -> Counter[PaymentState]:
    payments = await cluster[0].store.read(lambda books: books.recent_payments(1_000))
    return Counter(payment.state for payment in payments)


async def test_parts_that_reach_different_nodes_at_once_join_once_and_are_sent_once(cluster: Cluster) -> None:
    sends = [send(cluster[number], "pc", card(number)) for number in range(PAYMENTS)]
    sends += [send(cluster[number + 1], "phone", pin(number)) for number in range(PAYMENTS)]
    joined = [payment_id for payment_id in await asyncio.gather(*sends) if payment_id is not None]
    assert PAYMENTS == len(joined) == len(set(joined))

    everywhere = (carry(node.platform, payment_id) for payment_id in joined for node in cluster.nodes)
    await asyncio.gather(*everywhere)

    assert {PaymentState.APPROVED: PAYMENTS} == await states(cluster)
    assert sorted(joined) == sorted(each.payment_id for each in cluster.back_end.instructions)


async def test_a_message_replayed_to_another_node_is_refused(cluster: Cluster) -> None:
    arrival = arrival_of(cluster[0], cluster[0].members["pc"], card(1))
    outcomes = await asyncio.gather(
        *(give(node, node.members["pc"], arrival) for node in cluster.nodes), return_exceptions=True
    )

    assert NODES - 1 == sum(isinstance(each, Replayed) for each in outcomes)
    assert 1 == (await states(cluster)).total()


async def test_a_retry_at_another_node_gets_the_first_answer_and_files_nothing_twice(cluster: Cluster) -> None:
    arrivals = [arrival_of(node, node.members["pc"], card(1), idempotency_key="the same key") for node in cluster.nodes]
    answers = await asyncio.gather(
        *(give(node, node.members["pc"], arrival) for node, arrival in zip(cluster.nodes, arrivals, strict=True))
    )

    assert 1 == len({answer.body for answer in answers})
    (payment,) = await cluster[0].store.read(lambda books: books.recent_payments(10))
    assert 1 == len(await cluster[0].store.read(lambda books: books.part_facts(payment.id)))


async def test_a_payment_that_expires_while_its_last_part_arrives_has_one_fate(cluster: Cluster) -> None:
    for number in range(PAYMENTS):
        await send(cluster[number], "pc", card(number))
    await cluster[0].clock.advance(limits.SECRET_LIFE_MS - 1)
    late = [send(cluster[number], "phone", pin(number)) for number in range(PAYMENTS)]
    *joined, _, _ = await asyncio.gather(*late, cluster[0].clock.advance(1), expire_when_due(cluster))

    found = await states(cluster)
    assert len([each for each in joined if each is not None]) == found[PaymentState.JOINED]
    chain = await cluster[2].store.read(lambda books: books.audit_links(0, 1_000))
    fates = Counter(read(link.body).subjects[0] for link in chain if read(link.body).action == "payment.expired")
    assert found[PaymentState.EXPIRED] == len(fates) == fates.total()


async def test_each_part_and_send_has_one_entry_in_the_one_chain(cluster: Cluster) -> None:
    for number in range(PAYMENTS):
        await send(cluster[number], "pc", card(number))
        joined = await send(cluster[number + 1], "phone", pin(number))
        assert joined is not None
        await carry(cluster[number + 2].platform, joined)

    chain = [read(link.body) for link in await cluster[0].store.read(lambda books: books.audit_links(0, 1_000))]
    done = Counter(entry.action for entry in chain)
    assert (2 * PAYMENTS, PAYMENTS, PAYMENTS) == (
        done["part.accepted"],
        done["delivery.sent"],
        done["delivery.settled"],
    )
