"""What every store promises about nodes and their chores."""

import asyncio

import pytest
from store_samples import AnyStore, node

from tallystick.delivery.model import Node, NodeKind
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

HERE, THERE = node("node_a"), node("node_b", kind=NodeKind.WORKER, started_at=2_000, lease_until=17_000)


async def add(store: AnyStore, *nodes: Node) -> None:
    for each in nodes:
        await store.transact(lambda books, each=each: books.add_node(each))


async def hold(store: AnyStore, chore: str, of: Node) -> bool:
    return await store.transact(lambda books: books.hold_chore(chore, of.id))


async def holder(store: AnyStore, chore: str) -> str | None:
    return await store.read(lambda books: books.chore_holder(chore))


async def test_nodes_come_back_whole_and_longest_there_first(store: AnyStore) -> None:
    await add(store, THERE, HERE)
    assert [HERE, THERE] == await store.read(lambda books: books.nodes())


async def test_an_id_is_taken_once(store: AnyStore) -> None:
    await add(store, HERE)
    with pytest.raises(AlreadyExists):
        await add(store, node(HERE.id, name="other"))


async def test_a_lease_is_renewed_while_the_node_is_there(store: AnyStore) -> None:
    await add(store, HERE, THERE)
    assert True is await store.transact(lambda books: books.renew_node(HERE.id, Millis(30_000)))
    assert False is await store.transact(lambda books: books.renew_node("node_none", Millis(30_000)))
    assert [30_000, 17_000] == [each.lease_until for each in await store.read(lambda books: books.nodes())]


async def test_a_node_that_renewed_meanwhile_is_not_taken_away(store: AnyStore) -> None:
    await add(store, HERE)
    await store.transact(lambda books: books.renew_node(HERE.id, Millis(30_000)))
    assert False is await store.transact(lambda books: books.drop_node(HERE))
    assert True is await store.transact(lambda books: books.drop_node(node(HERE.id, lease_until=30_000)))
    assert [] == await store.read(lambda books: books.nodes())
    assert False is await store.transact(lambda books: books.renew_node(HERE.id, Millis(40_000)))


async def test_a_chore_is_one_nodes_until_that_node_is_gone(store: AnyStore) -> None:
    await add(store, HERE, THERE)
    assert [True, True, False] == [await hold(store, "notices", each) for each in (HERE, HERE, THERE)]
    assert True is await hold(store, "checkpoints", THERE)
    assert (HERE.id, THERE.id, None) == tuple([await holder(store, c) for c in ("notices", "checkpoints", "none")])
    await store.transact(lambda books: books.drop_node(HERE))
    assert None is await holder(store, "notices")
    assert True is await hold(store, "notices", THERE)


async def test_a_node_that_is_not_there_gets_no_chore(store: AnyStore) -> None:
    assert False is await hold(store, "notices", HERE)
    await add(store, THERE)
    assert True is await hold(store, "notices", THERE)


async def test_of_fifty_that_want_a_chore_at_once_exactly_one_gets_it(store: AnyStore) -> None:
    nodes = [node(f"node_{number}") for number in range(50)]
    await add(store, *nodes)
    assert 1 == (await asyncio.gather(*(hold(store, "notices", each) for each in nodes))).count(True)
